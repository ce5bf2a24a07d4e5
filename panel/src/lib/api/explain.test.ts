import { describe, expect, it, vi } from 'vitest';
import { en } from '../i18n/en';
import { es } from '../i18n/es';

vi.mock('../feed/feed.svelte', () => ({ feed: {} }));
vi.mock('./key.svelte', () => ({ key: {} }));
const { ApiError } = await import('./error');
const { toError } = await import('./client');
const { explain } = await import('./explain');

/** What a node answers to a wrong body. */
function wrong(field: string, why: string) {
  const response = Object.defineProperty(new Response('', { status: 422 }), 'url', { value: 'http://a:8000/settings' });
  return toError({ detail: [{ loc: ['body', field], msg: `Value error, ${why}` }] }, response);
}

describe('why a call failed', () => {
  it('is in the language of the viewer', () => {
    const above = wrong('MIN_REPLICAS', 'MIN_REPLICAS=30 is above MAX_REPLICAS=20: lower the one or raise the other');
    expect(explain(above, es)).toBe('No se hizo: MIN_REPLICAS=30 supera MAX_REPLICAS=20: baje el uno o suba el otro.');
    expect(explain(new ApiError(404, 'container not found', null, '/'), es)).toBe(
      'No se hizo: no se encuentra el contenedor.',
    );
    expect(explain(new ApiError(403, '', null, '/'), es)).toBe('No se hizo: la clave fue rechazada.');
    expect(explain(new ApiError(500, '', null, '/'), es)).toBe('No se hizo: 500.');
  });
  it('names the field unless the reason begins with it', () => {
    const label = wrong('CONTAINER_LABEL', 'CONTAINER_LABEL: the key is empty; accepted: …');
    expect(explain(label, es)).toBe('No se hizo: CONTAINER_LABEL: no vale como etiqueta: la clave está vacía.');
    expect(explain(label, en)).toBe('It was not done: CONTAINER_LABEL: the key is empty; accepted: ….');
    expect(explain(wrong('node', 'no member has this name; GET /cluster lists them'), es)).toBe(
      'No se hizo: node: ningún miembro se llama así.',
    );
  });
});
