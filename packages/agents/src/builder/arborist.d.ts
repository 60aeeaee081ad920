/** What the installer uses of npm's own, which has no types. */
declare module "@npmcli/arborist" {
	interface Node {
		readonly name: string;
		readonly version: string;
		readonly isProjectRoot: boolean;
	}

	export interface Inventory {
		entries(): IterableIterator<[location: string, node: Node]>;
		get(location: string): Node | undefined;
	}

	interface Tree {
		readonly inventory: Inventory;
		/** Its lock file. */
		readonly meta: { commit(): { readonly packages: object } };
	}

	export default class Arborist {
		constructor(options: object);
		loadVirtual(): Promise<Tree>;
		buildIdealTree(): Promise<Tree>;
		reify(options: object): Promise<Tree>;
	}
}
