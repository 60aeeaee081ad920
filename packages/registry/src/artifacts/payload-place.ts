/** Where payloads are, under their keys. Everything but `names` may be asked twice. */
export interface PayloadPlace {
	/**
	 * It is there whole when this resolves, and not before. @param durable it survives a power cut then
	 * @throws BerthError `storage_full`, `unavailable`
	 */
	put(key: string, bytes: Uint8Array, durable: boolean): Promise<void>;
	/** Undefined when it is gone. */
	find(key: string): Promise<Buffer | undefined>;
	has(key: string): Promise<boolean>;
	remove(key: string): Promise<void>;
	/** All keys, and what else is there. */
	names(): Promise<readonly string[]>;
	/** What another place of the same kind has, under a key of this one's, without its bytes being moved. False when that hasn't got it. */
	adopt(other: PayloadPlace, theirs: string, key: string, durable: boolean): Promise<boolean>;
	/** How long a count of what is here is good for, milliseconds: other processes write and remove, too, and a list costs. */
	readonly countedForMs: number;
}

/** Removals at the same time. */
const REMOVALS = 32;

/** Removes these, several at a time. @param onRemoved told of each that is gone */
export async function removeAll(place: PayloadPlace, names: readonly string[], onRemoved: (name: string) => void): Promise<void> {
	const left = names.values();
	const remover = async () => {
		for (const name of left) {
			await place.remove(name);
			onRemoved(name);
		}
	};
	await Promise.all(Array.from({ length: REMOVALS }, remover));
}
