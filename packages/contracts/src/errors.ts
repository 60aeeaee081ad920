/** Who has to do something about it. */
export type Fault = "caller" | "function" | "platform";

export interface ErrorEntry {
	readonly fault: Fault;
	/** Whether the same request may succeed when it is sent again. */
	readonly retryable: boolean;
	readonly status: number;
	readonly title: string;
}

const entry = (fault: Fault, status: number, retryable: boolean, title: string): ErrorEntry => ({ fault, status, retryable, title });

/** Every error that Berth answers with; docs/errors.md lists the same ones (a test compares them). */
export const ERRORS = {
	invalid_request: entry("caller", 400, false, "The request is malformed."),
	invalid_name: entry("caller", 400, false, "The name is not allowed."),
	invalid_manifest: entry("caller", 400, false, "A field of the manifest is wrong."),
	unauthorized: entry("caller", 401, false, "An API key is needed, and this one is missing or unknown."),
	hook_refused: entry("caller", 401, false, "There is no such hook, or this delivery isn't what it lets in."),
	forbidden: entry("caller", 403, false, "The API key lacks the scope for this."),
	quota_exceeded: entry("caller", 403, false, "The project has as much of this as its quota allows."),
	not_found: entry("caller", 404, false, "There is no such thing, or not for this key."),
	project_not_found: entry("caller", 404, false, "There is no project of that name, or not for this key."),
	key_not_found: entry("caller", 404, false, "The project has no API key of that name."),
	function_not_found: entry("caller", 404, false, "There is no function of that name."),
	version_not_found: entry("caller", 404, false, "The function has no version of that number."),
	alias_not_found: entry("caller", 404, false, "The function has no alias of that name."),
	network_not_found: entry("caller", 404, false, "The project has no network of that name."),
	secret_not_found: entry("caller", 404, false, "The project has no secret of that name."),
	hook_not_found: entry("caller", 404, false, "The function has no hook of that name."),
	hook_event_not_found: entry("caller", 404, false, "The hook's log has no such event, or no more."),
	schedule_not_found: entry("caller", 404, false, "The function has no schedule of that name."),
	volume_not_found: entry("caller", 404, false, "The project has no volume of that name."),
	invocation_not_found: entry("caller", 404, false, "There is no record of that invocation (it may have expired)."),
	image_not_found: entry("caller", 404, false, "The registry has no such image."),
	method_not_allowed: entry("caller", 405, false, "This path doesn't have that method."),
	request_timeout: entry("caller", 408, true, "The request didn't arrive in time."),
	function_not_ready: entry("caller", 409, true, "The function has no version that is ready."),
	function_build_failed: entry("caller", 409, false, "The function has no version that was built."),
	version_not_ready: entry("caller", 409, true, "The version isn't built yet."),
	version_build_failed: entry("caller", 409, false, "The version couldn't be built."),
	version_in_use: entry("caller", 409, false, "The version is needed: an alias leads to it, or there is no other."),
	network_in_use: entry("caller", 409, false, "The network is needed: functions are on it."),
	secret_in_use: entry("caller", 409, false, "The secret is needed: functions have it."),
	hook_exists: entry("caller", 409, false, "The function has a hook of that name."),
	project_in_use: entry("caller", 409, false, "The project is needed: it has something still."),
	key_exists: entry("caller", 409, false, "The project has an API key of that name."),
	idempotency_in_progress: entry("caller", 409, true, "The first request with this idempotency key isn't answered yet."),
	schedule_exists: entry("caller", 409, false, "The function has a schedule of that name."),
	delivery_running: entry("caller", 409, true, "The same delivery is being run."),
	volume_in_use: entry("caller", 409, false, "The volume is needed: functions have it."),
	invocation_unsettled: entry("caller", 409, true, "The invocation isn't settled yet."),
	nothing_to_roll_back: entry("caller", 409, false, "The alias has led to no other version that is still there."),
	idempotency_gone: entry("caller", 410, false, "The request was served before, and its answer isn't kept."),
	payload_gone: entry("caller", 410, false, "The invocation's payload isn't kept any more."),
	body_too_large: entry("caller", 413, false, "The body is larger than the limit."),
	unsupported_media_type: entry("caller", 415, false, "The content type or coding is not one that this path takes."),
	headers_too_large: entry("caller", 431, false, "The request's headers are larger than the limit."),
	idempotency_mismatch: entry("caller", 422, false, "The idempotency key belongs to another request."),
	build_failed: entry("caller", 422, false, "The source doesn't build."),
	archive_rejected: entry("caller", 422, false, "The archive holds something that isn't allowed."),
	no_handler: entry("caller", 422, false, "The source has no handler."),
	dependencies_rejected: entry("caller", 422, false, "The dependencies ask for something that isn't allowed."),
	install_failed: entry("caller", 422, false, "The dependencies can't be installed."),
	secret_unavailable: entry("caller", 422, false, "A secret that the version has can't be had."),
	network_unavailable: entry("caller", 422, false, "The node can't give functions the network that the manifest asks for."),
	runtime_class_unavailable: entry("caller", 422, false, "The node can't run functions under the runtime class that is asked for."),
	storage_unavailable: entry("caller", 422, false, "The node can't give functions the storage that is asked for."),
	build_timed_out: entry("caller", 422, true, "The build took longer than its limit."),
	image_rejected: entry("caller", 422, false, "The image can't be taken."),
	rate_limited: entry(
		"caller",
		429,
		true,
		"There have been as many requests as the project's quota, or the key's own rate, allows in this time.",
	),
	hook_limited: entry("caller", 429, true, "The hook has had as many deliveries as it takes in this time."),
	too_busy: entry("caller", 429, true, "Too much of this is waiting already."),
	queue_full: entry("caller", 429, true, "Too much is queued in the background already."),
	handler_error: entry("function", 502, false, "The handler threw."),
	init_error: entry("function", 502, false, "The function failed before it could take an invocation."),
	crashed: entry("function", 502, false, "The function's process ended before it answered."),
	out_of_memory: entry("function", 502, false, "The function used more memory than its limit."),
	response_too_large: entry("function", 502, false, "The function's response is larger than the limit."),
	timed_out: entry("function", 504, false, "The function didn't answer within its timeout and was killed."),
	cancelled: entry("caller", 499, false, "It was cancelled, or its caller went away."),
	too_deep: entry("function", 508, false, "Functions invoke one another too deeply."),
	deadlock: entry("function", 508, false, "It would have to wait for itself."),
	function_failing: entry(
		"function",
		503,
		true,
		"The version's sandboxes ended one after another before they answered: the next is started later.",
	),
	node_full: entry("platform", 503, true, "Every place for invocations is taken; nothing of it ran."),
	no_matching_node: entry("platform", 503, true, "No node that takes work has the labels that the function asks for."),
	start_timed_out: entry("platform", 503, true, "No sandbox could be had within the start budget."),
	expired_in_queue: entry("platform", 504, true, "The deadline passed before a worker took the invocation."),
	worker_lost: entry(
		"platform",
		502,
		true,
		"The worker that held the invocation is gone, or Redis lost what became of it; it may have begun.",
	),
	registry_failed: entry("platform", 502, true, "The image registry can't be reached, or refused."),
	store_unrecovered: entry("platform", 503, true, "The durable Redis has lost its functions; `berth recover` brings them back."),
	registry_unavailable: entry("platform", 503, true, "The package registry can't be reached."),
	storage_full: entry("platform", 507, true, "There is no space left for it."),
	platform_error: entry("platform", 500, true, "Berth failed; nothing is wrong with the request."),
	build_platform_error: entry("platform", 500, true, "Berth failed while building; deploy again."),
	in_doubt: entry("platform", 503, true, "Redis was gone before it said whether it took it; it may run once all the same."),
	unavailable: entry("platform", 503, true, "A server that Berth needs can't be reached or refuses, or the gateway stops."),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** One thing wrong with a request: which field, what is wrong, and what is allowed. */
export interface FieldIssue {
	readonly field: string;
	readonly message: string;
}

/** An error with a place in the catalogue. Thrown by us; a function's failure is a value instead. */
export class BerthError extends Error {
	override readonly name = "BerthError";
	readonly code: ErrorCode;
	readonly issues: readonly FieldIssue[];
	readonly extra: Readonly<Record<string, unknown>>;

	/** @param detail what happened here and what to do, one sentence or two */
	constructor(
		code: ErrorCode,
		detail: string,
		options: { issues?: readonly FieldIssue[]; extra?: Readonly<Record<string, unknown>>; cause?: unknown } = {},
	) {
		super(detail, options.cause === undefined ? undefined : { cause: options.cause });
		this.code = code;
		this.issues = options.issues ?? [];
		this.extra = options.extra ?? {};
	}

	get entry(): ErrorEntry {
		return ERRORS[this.code];
	}
}

/** An RFC 9457 problem, as the API answers it. */
export interface Problem {
	readonly type: string;
	readonly title: string;
	readonly status: number;
	readonly detail: string;
	/** This occurrence: the record of an invocation, or the id under which the gateway's log has it. */
	readonly instance?: string;
	readonly code: ErrorCode;
	readonly fault: Fault;
	readonly retryable: boolean;
	readonly issues?: readonly FieldIssue[];
	readonly [extension: string]: unknown;
}

/** The problem for a code: the one place where an error becomes an answer. */
export function problemOf(
	code: ErrorCode,
	detail: string,
	issues: readonly FieldIssue[] = [],
	extra: Readonly<Record<string, unknown>> = {},
): Problem {
	const { status, title, fault, retryable } = ERRORS[code];
	return {
		...extra,
		type: `urn:berth:error:${code}`,
		title,
		status,
		detail,
		code,
		fault,
		retryable,
		...(issues.length > 0 ? { issues } : {}),
	};
}
