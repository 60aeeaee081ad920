/** What makes another key by hand, which is nobody else's to read from the first moment on. */
export function anotherKeyIn(file: string): string {
	return `(umask 077; openssl rand -hex 32 > ${file})`;
}
