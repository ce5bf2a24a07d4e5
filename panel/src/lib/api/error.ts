/** A call that did not succeed: what was asked, what was answered. */
export class ApiError extends Error {
  constructor(
    /** 0 when there was no answer at all. */
    readonly status: number,
    message: string,
    readonly code: string | null,
    readonly asked: string,
    readonly field: string | null = null,
  ) {
    super(message);
  }
}
