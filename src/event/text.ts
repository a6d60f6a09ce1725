/**
 * Length of `text` in UTF-8 bytes; undefined where it holds a lone surrogate,
 * which has no UTF-8 form.
 */
export function utf8Length(text: string): number | undefined {
  let bytes = text.length;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) continue;
    if (unit < 0x800) {
      bytes += 1;
    } else if (unit < 0xd800 || unit > 0xdfff) {
      bytes += 2;
    } else {
      if (unit > 0xdbff) return undefined;
      const low = text.charCodeAt(at + 1);
      // NaN past the end fails both comparisons, hence the negation.
      if (!(low >= 0xdc00 && low <= 0xdfff)) return undefined;
      bytes += 2;
      at++;
    }
  }
  return bytes;
}

/** Whether `text` holds a character of C0, DEL or C1. */
export function hasControlCharacter(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x20 || (unit >= 0x7f && unit <= 0x9f)) return true;
  }
  return false;
}
