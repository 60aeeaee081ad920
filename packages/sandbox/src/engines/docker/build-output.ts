/** What an Engine's builder says on the way, one JSON document a line (Docker Engine API, "Build an image"). */
interface Message {
	readonly stream?: string;
	readonly aux?: { readonly ID?: string };
	readonly errorDetail?: { readonly code?: number; readonly message: string };
	readonly error?: string;
}

export interface BuildOutputListener {
	/** An instruction was begun: its number, from 1, and whether what it makes was there. */
	readonly onStep: (number: number, cached: boolean) => void;
	/** What an instruction printed, a line. */
	readonly onOutput: (text: string) => void;
	/** A container is about to run, by what was said; an instruction may print the same. */
	readonly onContainer: () => void;
}

const STEP = /^Step (\d+)\/\d+ : /;
const RUNNING = /^ ---> Running in [0-9a-f]{12}$/;
const CACHED = /^ ---> Using cache$/;
const QUIET = /^(?: ---> ?[0-9a-f]*$|Removing intermediate container |Successfully built )/;
/** The builder makes what comes on standard error red. */
const COLOURS = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, "g");
/** A longer one is told in pieces. */
const LINE_CHARS = 4000;

/** Tells what of a build is of interest, and keeps how it ended: only the builder's own words say that. */
export class BuildOutput {
	readonly #listener: BuildOutputListener;
	#line = "";
	/** Begun, and not told: the line after says whether it was cached. */
	#step: number | undefined;
	/** The image, once it is there: of the last stage. */
	id: string | undefined;
	/** Why it failed. */
	error: string | undefined;

	constructor(listener: BuildOutputListener) {
		this.#listener = listener;
	}

	take(json: string): void {
		const { stream, aux, errorDetail, error } = JSON.parse(json) as Message;
		this.id = aux?.ID ?? this.id;
		// The message of a command that failed has all of it once more.
		this.error = errorDetail?.code ? `it ended with ${errorDetail.code}` : (errorDetail?.message ?? error ?? this.error);
		if (stream !== undefined) this.#print(stream);
	}

	/** Nothing more comes. */
	end(): void {
		if (this.#line !== "") this.#print("\n");
		this.#begin(false);
	}

	#print(text: string): void {
		const lines = `${this.#line}${text}`.split(/\r?\n/);
		this.#line = lines.pop() as string;
		for (const line of lines) this.#say(line);
		for (; this.#line.length > LINE_CHARS; this.#line = this.#line.slice(LINE_CHARS)) this.#say(this.#line.slice(0, LINE_CHARS));
	}

	#say(coloured: string): void {
		const line = coloured.replace(COLOURS, "");
		const [, step] = STEP.exec(line) ?? [];
		this.#begin(CACHED.test(line));
		if (step !== undefined) this.#step = Number(step);
		else if (RUNNING.test(line)) this.#listener.onContainer();
		else if (!CACHED.test(line) && !QUIET.test(line) && line.trim() !== "") this.#listener.onOutput(line);
	}

	#begin(cached: boolean): void {
		const step = this.#step;
		this.#step = undefined;
		if (step !== undefined) this.#listener.onStep(step, cached);
	}
}
