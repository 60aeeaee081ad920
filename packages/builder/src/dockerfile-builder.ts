/** What makes images of Dockerfiles. Whatever a Dockerfile is to blame for is a value; a rejection is the platform's failure. */
export interface DockerfileBuilder {
	/** A label that every container and image of a build has by its Dockerfile. */
	readonly label: string;
	/** Whether there is an image of that name that a Dockerfile may begin with. */
	has(image: string): Promise<boolean>;
	build(build: DockerfileBuild): Promise<DockerfileResult>;
}

export interface DockerfileBuild {
	/** A tar with all that the Dockerfile may copy, and itself. */
	readonly context: AsyncIterable<Uint8Array>;
	/** Its path in there. */
	readonly dockerfile: string;
	/** Whether every step is done anew. */
	readonly noCache: boolean;
	readonly timeoutMs: number;
	/** An instruction was begun: its number, from 1, and whether what it makes was there. */
	readonly onStep: (number: number, cached: boolean) => void;
	/** What an instruction printed, a line. */
	readonly onOutput: (text: string) => void;
}

export type DockerfileResult =
	/** The image as `docker save` writes it, gzipped. */
	| { readonly outcome: "built"; readonly archive: Uint8Array }
	| { readonly outcome: "failed"; readonly message: string }
	| { readonly outcome: "timed_out" }
	/** It would be larger than that. */
	| { readonly outcome: "too_large"; readonly maxBytes: number };
