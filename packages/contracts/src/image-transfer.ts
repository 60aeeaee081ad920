import * as z from "zod";
import type { Problem } from "./errors.js";
import { NAME_PATTERN, NAME_RULE } from "./ids.js";
import { IMAGE_NAME_RULE, parseImageName } from "./image-name.js";
import type { Digest } from "./units.js";

const functionName = z.string(NAME_RULE).regex(NAME_PATTERN, NAME_RULE);
const reference = z.string(IMAGE_NAME_RULE).refine((text) => parseImageName(text) !== undefined, IMAGE_NAME_RULE);
const NUMBER = "a version's number, from 1";

/** `POST /v1/images/push` */
export const pushSchema = z.strictObject({
	function: functionName,
	/** Default: the live one. */
	version: z.int(NUMBER).min(1, NUMBER).optional(),
	reference,
	/** Whether the source goes along, under a tag of its own. Default: it does. */
	source: z.boolean("true or false").optional(),
});
/** `POST /v1/images/pull` */
export const pullSchema = z.strictObject({
	reference,
	/** The function that it becomes a version of. Default: the repository's last part. */
	function: functionName.optional(),
});
export type PushInput = z.input<typeof pushSchema>;
export type PullInput = z.input<typeof pullSchema>;

/** What a node is asked to move: everything is decided. */
export interface TransferRequest {
	readonly kind: "push" | "pull";
	readonly project: string;
	readonly function: string;
	/** Of a push: without the source. */
	readonly withoutSource?: boolean;
	/** The version to push. */
	readonly version?: number;
	readonly reference: string;
}

/** `GET /v1/images/transfers/{id}`: a push or a pull, as far as it is; until an hour after its end. One that was cut short with its worker is begun again. */
export interface ImageTransfer extends TransferRequest {
	readonly id: string;
	readonly state: "running" | "done" | "failed";
	/** Changes with everything else: `?after=` it waits for news, 4 s at most. */
	readonly revision: number;
	/** Blobs of the image: known once its manifest was read. */
	readonly blobs: number;
	/** Those that were there already and weren't moved. */
	readonly present: number;
	readonly totalBytes: number;
	readonly movedBytes: number;
	/** Of the image manifest, once it is known. */
	readonly digest?: Digest;
	/** Of a pull that is done: the image's variables were sealed by another stack, or for another project, so the version has none. */
	readonly lacksEnv?: boolean;
	/** Why it failed. */
	readonly problem?: Problem;
}

/** One image of `GET /v1/images`: a version that is ready. */
export interface ImageSummary {
	readonly function: string;
	readonly version: number;
	readonly digest: Digest;
	/** Of the layers below the function's own. */
	readonly base: Digest;
	/** All layers, and those that are the function's own, bytes. */
	readonly sizeBytes: number;
	readonly ownBytes: number;
	readonly createdAt: string;
}
export interface ImageList {
	readonly images: readonly ImageSummary[];
}

/** `POST /v1/recover`: what came back from the store. */
export interface Recovery {
	readonly recovered: readonly { readonly function: string; readonly version: number }[];
	/** Versions that were on record already. */
	readonly present: number;
	readonly lost: readonly { readonly image: string; readonly why: string }[];
}
