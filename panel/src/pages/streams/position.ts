/** The line on which a live stream's position is drawn. */

/** Lengths that the line may have, in seconds: the first is usual, the others are for streams far behind. */
const LENGTHS = [60, 120, 300, 600, 1800, 3600];
/** Blocks stand for pieces, which have no length in time: so wide is each, with its gap, in percent of the line. */
const BLOCK = 1.3;

/** The shortest line that has all positions, in seconds. */
export function span(behind: readonly (number | null)[]): number {
  const most = Math.max(0, ...behind.map((v) => v ?? 0));
  return LENGTHS.find((l) => most <= l) ?? Math.ceil(most / 3600) * 3600;
}

/** Between which positions it was lately. */
export function trail(behind: readonly (number | null)[]): { least: number; most: number } {
  const known = behind.filter((v): v is number => v !== null);
  return known.length === 0 ? { least: 0, most: 0 } : { least: Math.min(...known), most: Math.max(...known) };
}

/** Where blocks for pieces begin, in percent, from the position on; those beyond the end of the line are left out. */
export function blocks(pieces: number | null, from: number): number[] {
  const room = Math.max(0, Math.floor((100 - from) / BLOCK));
  return Array.from({ length: Math.min(pieces ?? 0, room) }, (_, i) => from + i * BLOCK);
}
