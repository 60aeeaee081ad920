/** Many at a time may share it, or one exclude the others; first come, first served. Within one process. */
export class SharedLock {
	#sharing = 0;
	#excluding = false;
	#waiting: { readonly excludes: boolean; readonly enter: () => void }[] = [];

	share(): Promise<Disposable> {
		return this.#enter(false);
	}

	exclude(): Promise<Disposable> {
		return this.#enter(true);
	}

	#enter(excludes: boolean): Promise<Disposable> {
		const { promise, resolve } = Promise.withResolvers<Disposable>();
		this.#waiting.push({ excludes, enter: () => resolve({ [Symbol.dispose]: () => this.#leave(excludes) }) });
		this.#admit();
		return promise;
	}

	#leave(excluded: boolean): void {
		if (excluded) this.#excluding = false;
		else this.#sharing--;
		this.#admit();
	}

	#admit(): void {
		for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
			if (this.#excluding || (next.excludes && this.#sharing > 0)) return;
			this.#waiting.shift();
			if (next.excludes) this.#excluding = true;
			else this.#sharing++;
			next.enter();
		}
	}
}
