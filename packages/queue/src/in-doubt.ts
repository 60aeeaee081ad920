import { BerthError, type InvocationRequest } from "@berth/contracts";

/** Redis was gone before it said whether it took the job, and can't be asked. */
export function inDoubtOf({ id }: InvocationRequest, cause: BerthError): BerthError {
	const detail = `${cause.message}; it had been sent already, and may run all the same, once, as ${id}`;
	return new BerthError("in_doubt", detail, { cause, extra: { invocation: id } });
}
