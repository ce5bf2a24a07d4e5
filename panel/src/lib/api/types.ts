/** What answers hold, by the API's description, with what it leaves open. */
import type { components } from './schema';

type Schemas = components['schemas'];

export type LogEntry = Schemas['LogEntry'];

/** The description says of values that they are any JSON. */
export type Json = string | number | boolean | null;

export type Setting = Omit<Schemas['Setting'], 'value' | 'default' | 'minimum' | 'maximum' | 'type'> & {
  value: Json;
  default: Json;
  type: 'integer' | 'number' | 'boolean' | 'ports' | 'label';
  minimum?: number | null;
  maximum?: number | null;
};

export type ChangedSetting = Schemas['ChangedSetting'] & { from: Json; to: Json };
export type DifferingSetting = Schemas['DifferingSetting'] & { value: Json; in_force: Json };
export type NodeSettings = Omit<Schemas['NodeSettings'], 'differing'> & { differing: DifferingSetting[] };
export type Settings = Omit<Schemas['Settings'], 'settings' | 'nodes'> & {
  settings: Setting[];
  nodes: NodeSettings[];
};
export type SettingsChange = Omit<Schemas['SettingsChangeView'], 'changes'> & { changes: ChangedSetting[] };
export type SettingsOutcome = Omit<Schemas['SettingsOutcome'], 'changes'> & { changes: ChangedSetting[] };
