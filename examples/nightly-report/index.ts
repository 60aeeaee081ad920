/** Which of its schedule's firings it is; absent when it is invoked by hand. */
interface Firing {
	readonly name: string;
	readonly dueAt: string;
	readonly kind: "due" | "missed" | "manual";
}

/**
 * What a schedule runs (`berth schedules create nightly-report --cron "30 2 * * *" --tz Europe/Berlin --name nightly`). It reports
 * on the day before the one that it was due on, however late it runs: a machine that was down at night makes up for it in the
 * morning, with the same report.
 */
export default async (payload: { readonly shop?: string } | null, ctx: { readonly schedule?: Firing }): Promise<object> => {
	const dueAt = new Date(ctx.schedule?.dueAt ?? Date.now());
	const day = new Date(dueAt.getTime() - 24 * 60 * 60 * 1000).toISOString().slice(0, 10);
	const orders = ordersOf(day);
	const report = { shop: payload?.shop ?? "all", day, orders: orders.length, cents: orders.reduce((sum, cents) => sum + cents, 0) };
	console.log(`${ctx.schedule?.kind ?? "by hand"}: ${JSON.stringify(report)}`);
	return report;
};

/** Made up of the day's digits, as this example has no database. */
function ordersOf(day: string): readonly number[] {
	return [...day.replaceAll("-", "")].map((digit) => 100 * (1 + Number(digit)));
}
