interface StripeEvent {
	readonly id: string;
	readonly type: string;
	readonly data: { readonly object: { readonly id: string; readonly amount_paid?: number; readonly currency?: string } };
}

/**
 * What Stripe delivers over a hook (`berth hooks create stripe-events --scheme stripe --event 'invoice.*'`). Stripe has its 202
 * when the event is on disk; this runs after that, again when it throws, and once for each event, however often Stripe sends it.
 */
export default async (event: StripeEvent, ctx: { readonly invocationId: string }): Promise<object> => {
	const { object } = event.data;
	switch (event.type) {
		case "invoice.paid":
			console.log(`${event.id}: ${object.id} paid ${object.amount_paid} ${object.currency}`);
			return { paid: object.id };
		case "invoice.payment_failed":
			console.log(`${event.id}: ${object.id} wasn't paid`);
			return { unpaid: object.id };
		default:
			return { ignored: event.type, invocation: ctx.invocationId };
	}
};
