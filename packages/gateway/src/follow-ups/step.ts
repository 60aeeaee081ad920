/** How a try went: what is written down of it, and when the next one is due, milliseconds; absent: there is none. */
export interface Step<State> {
	readonly state: State;
	readonly nextMs?: number;
}
