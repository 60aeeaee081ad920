/** For a `listen` that failed, where functions on a network reach this worker. @returns what throws why, and what to do about it */
export function portTaken(way: "tcp" | "udp", address: string, port: number): (error: NodeJS.ErrnoException) => never {
	return (error) => {
		if (error.code !== "EADDRINUSE") throw error;
		throw new Error(
			`something else listens on ${address}:${port} (${way}), or on that port of every address, and functions on a network need it: \`ss -lnp${way[0]} 'sport = :${port}'\` names it; stop it, or have it listen on an address of its own, as 127.0.0.1:${port}`,
		);
	};
}
