import { readFileSync } from 'node:fs';
import openapiTS, { astToString } from 'openapi-typescript';
import { expect, it } from 'vitest';

it('the types are those of the description of the API: npm run types', async () => {
  const url = (path: string) => new URL(path, import.meta.url);
  const made = astToString(await openapiTS(url('../../../../docs/openapi.json')));
  expect(readFileSync(url('./schema.d.ts'), 'utf8').includes(made.trim())).toBe(true);
});
