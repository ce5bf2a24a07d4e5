import type { EngineObject, NodeFigures, NodeObject, StreamFigures, StreamObject, VpnObject } from '../feed/types';
import type { EngineWord, HostWord, StreamWord, Tone, VpnWord } from './status';

/** An object with what the page says of it; `key` is the object's key in the feed. */
export interface EngineRow {
  key: string;
  engine: EngineObject;
  name: string;
  node: string;
  vpn: string | null;
  word: EngineWord;
  tone: Tone;
  streams: number;
  /** Since when it is as it is, as far as that is known. */
  since: string | null;
}

export interface HostRow {
  key: string;
  node: NodeObject;
  figures: NodeFigures | undefined;
  word: HostWord;
  tone: Tone;
  leads: boolean;
  engines: number;
}

export interface StreamRow {
  key: string;
  stream: StreamObject;
  figures: StreamFigures | undefined;
  engine: EngineRow | null;
  node: string;
  word: StreamWord;
  tone: Tone;
}

export interface VpnRow {
  key: string;
  vpn: VpnObject;
  name: string;
  word: VpnWord;
  tone: Tone;
}
