/** Why nothing could be measured, for a person: the function fails, the node doesn't do what it is told. */
export class BenchError extends Error {
	override readonly name = "BenchError";
}
