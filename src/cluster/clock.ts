/**
 * How far another clock is ahead of this machine's, as far as one answer proves it: the Date of HTTP has whole seconds, and
 * the answer was written at some time while the request was under way.
 *
 * @param date - the answer's Date header
 * @param sentAt - milliseconds, by this machine's clock, as is `receivedAt`
 * @returns milliseconds, below zero for a clock that is behind; 0 where both may agree, undefined without a date
 */
export function provenSkew(date: unknown, sentAt: number, receivedAt: number): number | undefined {
  const second = Date.parse(String(date));
  if (Number.isNaN(second)) return undefined;
  const least = second - receivedAt;
  const most = second + 999 - sentAt;
  if (least > 0) return least;
  return most < 0 ? most : 0;
}
