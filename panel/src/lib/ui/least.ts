/** Differences that little curves do not blow up, each in the unit of its figures. */

/** Engines or streams. */
export const LEAST_COUNT = 4;
/** KB/s: about one Mbit/s. */
export const LEAST_SPEED = 125;
/** Percent of a core. */
export const LEAST_CPU = 10;
/** Bytes: 64 MiB. */
export const LEAST_MEMORY = 64 * 1024 ** 2;
