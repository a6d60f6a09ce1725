const EXCERPT_LENGTH = 64;

/**
 * Someone else's text for an error message: quoted, on one line, control
 * characters and lone surrogates escaped, and never long.
 */
export function excerpt(text: string): string {
  return text.length <= EXCERPT_LENGTH
    ? JSON.stringify(text)
    : `${JSON.stringify(text.slice(0, EXCERPT_LENGTH))}… (${text.length} characters)`;
}
