/** A page that gets hidden comes to no more pictures, whatever it waits for; so long it waits, in milliseconds. */
const AT_LATEST_MS = 250;

/** Runs once, with the next picture of the screen. */
export function withPicture(run: () => void): void {
  const once = () => {
    cancelAnimationFrame(picture);
    clearTimeout(timer);
    run();
  };
  const picture = requestAnimationFrame(once);
  const timer = setTimeout(once, AT_LATEST_MS);
}
