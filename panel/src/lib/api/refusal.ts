/** What the body of a refusal says for machines. */
const isObject = (v: unknown): v is object => typeof v === 'object' && v !== null;

/** What a body holds as its reason; a text, a list of what is wrong, or an object with a code. */
export const detailOf = (body: unknown): unknown => (isObject(body) && 'detail' in body ? body.detail : body);

/** The code of a refusal; null when it has none. */
export function codeOf(body: unknown): string | null {
  const detail = detailOf(body);
  return isObject(detail) && 'code' in detail && typeof detail.code === 'string' ? detail.code : null;
}
