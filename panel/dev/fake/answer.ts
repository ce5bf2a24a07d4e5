/** Answers of fake nodes. */
export interface Answer {
  status: number;
  body: unknown;
}

export const ok = (body: unknown): Answer => ({ status: 200, body });
export const no = (status: number, detail: unknown): Answer => ({ status, body: { detail } });
