/** A registry that may be used, and how to log in there. */
export interface RegistryAccess {
	/** Host, and port where it isn't the protocol's own, as images are named. */
	readonly host: string;
	/** `https://host` or `http://host`, without a path. */
	readonly origin: string;
	readonly login?: { readonly username: string; readonly password: string };
}
