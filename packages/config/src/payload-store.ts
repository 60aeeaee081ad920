import * as z from "zod";

/** A part of a bucket in an S3-compatible store, and the key to it. */
export interface BucketAccess {
	/** Origin of the store's API. */
	readonly endpoint: string;
	readonly region: string;
	readonly bucket: string;
	/** What all names there begin with: empty, or it ends with a slash. */
	readonly prefix: string;
	readonly accessKeyId: string;
	readonly secretAccessKey: string;
}

const RULE =
	"s3://KEY:SECRET@bucket/prefix?region=eu-central-1, with &endpoint=https://host for a store that isn't Amazon's; KEY and SECRET percent-encoded";
/** S3 user guide, "Bucket naming rules"; other stores take no more. */
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const PREFIX = /^(?:[A-Za-z0-9_-][A-Za-z0-9._-]*\/)*$/;
const REGION = /^[a-z0-9-]{1,40}$/;
const DEFAULT_REGION = "us-east-1";

export const payloadStore = z.string().transform((text, context): BucketAccess => {
	const found = accessOf(text);
	if (found !== undefined) return found;
	context.addIssue(RULE);
	return z.NEVER;
});

function accessOf(text: string): BucketAccess | undefined {
	if (!text.startsWith("s3://") || !URL.canParse(text)) return undefined;
	const { host: bucket, username, password, pathname, searchParams, hash } = new URL(text);
	const strange = [...searchParams.keys()].some((name) => name !== "endpoint" && name !== "region");
	const path = pathname.replace(/^\//, "");
	const prefix = path === "" || path.endsWith("/") ? path : `${path}/`;
	const region = searchParams.get("region") ?? DEFAULT_REGION;
	const endpoint = endpointOf(searchParams.get("endpoint") ?? `https://s3.${region}.amazonaws.com`);
	if (strange || hash !== "" || username === "" || password === "" || endpoint === undefined) return undefined;
	if (!BUCKET.test(bucket) || !PREFIX.test(prefix) || !REGION.test(region)) return undefined;
	try {
		const [accessKeyId, secretAccessKey] = [decodeURIComponent(username), decodeURIComponent(password)];
		return Object.freeze({ endpoint, region, bucket, prefix, accessKeyId, secretAccessKey });
	} catch {
		// A % that begins no escape.
		return undefined;
	}
}

function endpointOf(text: string): string | undefined {
	if (!URL.canParse(text)) return undefined;
	const { protocol, origin, pathname, search, hash, username } = new URL(text);
	const isBare = pathname === "/" && search === "" && hash === "" && username === "";
	return /^https?:$/.test(protocol) && isBare ? origin : undefined;
}

/** As it stands in the environment. */
export function payloadStoreText({ endpoint, region, bucket, prefix, accessKeyId, secretAccessKey }: BucketAccess): string {
	const query = new URLSearchParams({ region, endpoint });
	return `s3://${encodeURIComponent(accessKeyId)}:${encodeURIComponent(secretAccessKey)}@${bucket}/${prefix}?${query}`;
}
