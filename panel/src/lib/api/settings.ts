/** Calls that read and change the settings of the cluster. */
import { api, read, write } from './client';
import type { Json, Settings, SettingsChange, SettingsOutcome } from './types';

// The description calls values any JSON; what they are is said once, here.
export const settings = (): Promise<Settings> => read(() => api().GET('/settings')) as Promise<Settings>;

/** Newest first. */
export const settingsHistory = (): Promise<SettingsChange[]> =>
  read(() => api().GET('/settings/history')) as Promise<SettingsChange[]>;

/** Changes settings on top of a revision; refused when others were quicker. With `dry` it only says what follows. */
export const changeSettings = (values: Record<string, Json>, revision: number, dry = false): Promise<SettingsOutcome> =>
  write(() =>
    api().PATCH('/settings', { params: { query: { dry_run: dry } }, body: { ...values, revision } as never }),
  ) as Promise<SettingsOutcome>;

/** Brings back the values of a revision. */
export const revertSettings = (revision: number, dry = false): Promise<SettingsOutcome> =>
  write(() =>
    api().POST('/settings/revert', { params: { query: { dry_run: dry } }, body: { revision } }),
  ) as Promise<SettingsOutcome>;
