/** package.json or a lock file asks for what isn't installed: which, why, and what to do. */
export class DependencyError extends Error {
	override readonly name = "DependencyError";
}
