/** A web server that has the API of one node in a folder, as people have it behind their own server. */
import { createServer, request, type Server } from 'node:http';

/** Serves `target` below `folder`, which begins and ends with a slash. */
export function proxy(port: number, folder: string, target: string): Promise<Server> {
  const server = createServer((from, answer) => {
    const path = from.url ?? '/';
    if (!path.startsWith(folder)) return void answer.writeHead(404).end();
    const to = new URL(path.slice(folder.length - 1), target);
    const up = request(to, { method: from.method ?? 'GET', headers: { ...from.headers, host: to.host } }, (got) => {
      answer.writeHead(got.statusCode ?? 502, got.headers);
      got.pipe(answer);
    });
    up.on('error', () => answer.destroy());
    answer.on('close', () => up.destroy());
    from.pipe(up);
  });
  return new Promise((ready) => server.listen(port, '127.0.0.1', () => ready(server)));
}
