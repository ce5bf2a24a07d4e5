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

export type Json = string | number | boolean | null;

export interface Setting {
  name: string;
  value: Json;
  default: Json;
  type: 'integer' | 'number' | 'boolean' | 'ports' | 'label';
  /** `engines`, `failures` or `s`. */
  unit: string | null;
  minimum: number | null;
  maximum: number | null;
  accepted: string;
  section: string;
  description: string;
  /** A change is in force at once, or for engines to come. */
  applies: 'live' | 'new_engines';
}

export interface Settings {
  /** Counts changes from 1; 0 while members of an earlier version are there. */
  revision: number;
  changed_at: string | null;
  changed_on: string | null;
  settings: Setting[];
  /** What each node is started with, as far as it differs. */
  nodes: { name: string; reported: boolean; differing: { name: string; value: Json; in_force: Json }[] }[];
}

export interface ChangedSetting {
  name: string;
  from: Json;
  to: Json;
}

export interface SettingsChange {
  revision: number;
  at: string;
  node: string;
  by?: LogEvent['by'];
  reverts: number | null;
  changes: ChangedSetting[];
}

export interface SettingsOutcome {
  revision: number;
  dry_run: boolean;
  changes: ChangedSetting[];
  /** What follows from it, in the node's words. */
  consequences: string[];
}

interface Get<Answer, Query = never, Path = never> {
  parameters: { query?: Query; header?: never; path?: Path; cookie?: never };
  get: {
    parameters: { query?: Query; header?: never; path?: Path; cookie?: never };
    requestBody?: never;
    responses: { 200: { headers: Record<string, unknown>; content: { 'application/json': Answer } } };
  };
}

interface Change<Answer, Body> {
  requestBody: { content: { 'application/json': Body } };
  parameters: { query?: { dry_run?: boolean }; header?: never; path?: never; cookie?: never };
  responses: { 200: { headers: Record<string, unknown>; content: { 'application/json': Answer } } };
}

export interface PendingPaths {
  '/settings': Get<Settings> & { patch: Change<SettingsOutcome, Record<string, Json>> };
  '/settings/history': Get<SettingsChange[]>;
  '/settings/revert': {
    parameters: { query?: never; header?: never; path?: never; cookie?: never };
    post: Change<SettingsOutcome, { revision: number }>;
  };
}
