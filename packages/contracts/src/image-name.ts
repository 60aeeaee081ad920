/** Where an image is in a registry, as Docker writes it: `registry.example.com:5000/team/hello:3`. */
export interface ImageName {
	/** Host, and port where one is named. */
	readonly host: string;
	readonly repository: string;
	/** A tag, or a digest. */
	readonly reference: string;
}

const HOST = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[1-9]\d{0,4})?$/;
/** OCI distribution spec, "Pulling manifests": names and references. */
const REPOSITORY = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const LONGEST = 512;

export const IMAGE_NAME_RULE = "registry/repository:tag or registry/repository@sha256:…, as in registry.example.com/team/hello:3";

/** Reads an image's name; the tag is `latest` where there is none. Undefined when it isn't one: a registry has to be named. */
export function parseImageName(text: string): ImageName | undefined {
	const slash = text.indexOf("/");
	if (slash < 0 || text.length > LONGEST) return undefined;
	const [host, rest] = [text.slice(0, slash), text.slice(slash + 1)];
	const at = rest.indexOf("@");
	const colon = at < 0 ? rest.indexOf(":") : -1;
	const cut = at < 0 ? colon : at;
	const repository = cut < 0 ? rest : rest.slice(0, cut);
	const reference = cut < 0 ? "latest" : rest.slice(cut + 1);
	if (!HOST.test(host) || !REPOSITORY.test(repository) || !(at < 0 ? TAG : DIGEST).test(reference)) return undefined;
	return { host, repository, reference };
}

export function imageNameText({ host, repository, reference }: ImageName): string {
	return `${host}/${repository}${DIGEST.test(reference) ? "@" : ":"}${reference}`;
}
