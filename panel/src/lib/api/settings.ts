/** Calls that read and change the settings of the cluster. */
import { api, read, write } from './client';
import { ApiError } from './error';
import { Moved } from './moved';
import type { Json, Settings, SettingsChange, SettingsOutcome } from './types';

// The description calls values any JSON; what they are is said once, here.
export const settings = (): Promise<Settings> => read(() => api().GET('/settings')) as Promise<Settings>;

/** Newest first. */
export const settingsHistory = (): Promise<SettingsChange[]> =>
  read(() => api().GET('/settings/history')) as Promise<SettingsChange[]>;

/** A change on top of the revision that was shown. Throws {@link Moved} when others were quicker. */
async function onTopOf<T>(revision: number, call: Parameters<typeof write<T>>[0]): Promise<T> {
  try {
    return await write(call);
  } catch (e) {
    if (!(e instanceof ApiError) || (e.status !== 409 && e.status !== 412)) throw e;
    const meanwhile = await settingsHistory().catch(() => []);
    const since = meanwhile.filter((c) => c.revision > revision);
    throw since.length > 0 ? new Moved(since) : e;
  }
}

const match = (revision: number) => ({ 'If-Match': `"${revision}"` });

/** Changes settings on top of a revision. With `dry` it only says what follows. */
export const changeSettings = (values: Record<string, Json>, on: number, dry = false): Promise<SettingsOutcome> =>
  onTopOf(on, () =>
    api().PATCH('/settings', { params: { query: { dry_run: dry }, header: match(on) }, body: values as never }),
  ) as Promise<SettingsOutcome>;

/** What bringing back the values of a revision would do, and on top of which one. */
export const planRevert = (to: number): Promise<SettingsOutcome> =>
  write(() =>
    api().POST('/settings/revert', { params: { query: { dry_run: true } }, body: { revision: to } }),
  ) as Promise<SettingsOutcome>;

/** Brings back the values of a revision, on top of another one. */
export const revertSettings = (to: number, on: number): Promise<SettingsOutcome> =>
  onTopOf(on, () =>
    api().POST('/settings/revert', { params: { header: match(on) }, body: { revision: to } }),
  ) as Promise<SettingsOutcome>;
