/**
 * Answers of endpoints that the API's description does not name yet. Each moves to the generated types with its
 * endpoint; fields that are not known to be there are optional.
 */
import type { LogEvent } from '../feed/types';

export interface LogEntry {
  at: string;
  stream: 'stdout' | 'stderr';
  text: string;
}

export interface Series {
  of: string;
  step_s: number;
  fields: string[];
  units: Record<string, string>;
  /** Unix seconds first, then a value a field; null is unknown. */
  points: (number | null)[][];
}

export interface SettingValue {
  name: string;
  value: string | number | boolean | null;
  default?: string | number | boolean | null;
  unit?: string | null;
  accepted?: string | null;
  meaning?: string | null;
}

export interface EnvironmentValue {
  node: string;
  name: string;
  value: string | number | boolean | null;
}

export interface Settings {
  revision: number;
  changed_at?: string | null;
  by?: LogEvent['by'];
  values: SettingValue[];
  /** What the environments of the nodes say and is not in force. */
  environment?: EnvironmentValue[];
}

export interface SettingsChange {
  revision: number;
  at: string;
  by: LogEvent['by'];
  changes: { name: string; from: string | number | boolean | null; to: string | number | boolean | null }[];
}

export interface EventStats {
  total: number;
  by_type: Record<string, number>;
  oldest: string | null;
  newest: string | null;
}

interface Get<Answer, Query = never, Path = never> {
  parameters: { query?: Query; header?: never; path?: Path; cookie?: never };
  get: {
    parameters: { query?: Query; header?: never; path?: Path; cookie?: never };
    requestBody?: never;
    responses: { 200: { headers: Record<string, unknown>; content: { 'application/json': Answer } } };
  };
}

export interface PendingPaths {
  '/events': Get<LogEvent[], { limit?: number; before?: number; event_type?: string }>;
  '/events/stats': Get<EventStats>;
  '/series': Get<Series, { of: string; since?: string }>;
  '/settings': Get<Settings>;
  '/settings/history': Get<SettingsChange[]>;
}
