/** The function that a script is wrapped in, as Node wraps CommonJS. A code cache belongs to the text with its wrapper. */
export const WRAPPER_HEAD = "(function (exports, require, module, __filename, __dirname) { ";
export const WRAPPER_TAIL = "\n})";
