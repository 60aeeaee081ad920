/** What the installer's process is to do. */
export interface InstallerTask {
	readonly action: "install" | "resolve";
	/** Has package.json, and what is installed with package-lock.json. */
	readonly directory: string;
	/** The default registry's URL, and those of scopes (`@acme`): the bridge's. */
	readonly registry: string;
	readonly scopes: Readonly<Record<string, string>>;
}
