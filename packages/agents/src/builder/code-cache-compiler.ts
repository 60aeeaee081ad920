/**
 * A process that reads a script from its standard input and writes V8's code cache of it to its
 * standard output; nothing when the script doesn't compile. The script is compiled, never run.
 */
import { readFileSync, writeSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { constants, Script } from "node:vm";
import { WRAPPER_HEAD, WRAPPER_TAIL } from "../bundle/wrapper.js";

function compileWhole(source: string): Script | undefined {
	setFlagsFromString("--no-lazy");
	try {
		return new Script(WRAPPER_HEAD + source + WRAPPER_TAIL, { importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER });
	} catch (error) {
		if (error instanceof SyntaxError) return undefined;
		throw error;
	} finally {
		setFlagsFromString("--lazy");
	}
}

const source = readFileSync(0, "utf8");
// Nothing on standard input: the builder ended while this process waited.
const script = source === "" ? undefined : compileWhole(source);
// The cache carries a hash of V8's flags: those of a process without our seed.
setFlagsFromString("--hash-seed=0");
const cache = script?.createCachedData() ?? Buffer.alloc(0);
for (let written = 0; written < cache.length; ) written += writeSync(1, cache, written);
