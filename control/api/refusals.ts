import { assertNever } from "../../core/result";
import type { FieldError } from "../../core/flags/model";
import { type Refusal as CommandRefusal, printRefusal } from "../../core/rollouts/command";
import type { ReportRefusal } from "../store/checkReports";
import type { FlagRefusal } from "../store/flags";
import type { RouteRefusal } from "../store/gateway";
import type { MetricRefusal } from "../store/metrics";
import type { ProtectionRefusal } from "../store/protections";
import type { SegmentRefusal } from "../store/segments";
import type { Role, TokenRefusal } from "../store/tokens";
import type { WebhookRefusal } from "../store/webhooks";
import { printMetricInUse, printUsedBy, usedBy } from "./usedBy";

/** Every way a request can be refused. The one switch below maps them to HTTP. */
export type Refusal =
	| FlagRefusal
	| SegmentRefusal
	| MetricRefusal
	| RouteRefusal
	| ProtectionRefusal
	| WebhookRefusal
	| TokenRefusal
	| ReportRefusal
	| CommandRefusal
	| { readonly kind: "invalid"; readonly errors: readonly FieldError[] }
	| { readonly kind: "malformed"; readonly detail: string }
	| { readonly kind: "too_large"; readonly limitBytes: number }
	| { readonly kind: "wrong_media_type" }
	| { readonly kind: "unauthorized"; readonly why: "no_token_set" | "sdk_key" | "invalid" | "none" }
	| { readonly kind: "forbidden"; readonly why: Lacking }
	| { readonly kind: "not_found"; readonly what: string }
	| { readonly kind: "version_required"; readonly current: number }
	| { readonly kind: "settings_mismatch"; readonly current: number }
	| { readonly kind: "flag_active"; readonly flag: string; readonly rollout: string }
	| { readonly kind: "flag_damaged"; readonly key: string }
	| { readonly kind: "rollout_damaged"; readonly id: string }
	| { readonly kind: "changed_meanwhile" }
	| { readonly kind: "idempotency_key_used"; readonly by: string }
	| { readonly kind: "nothing_to_confirm"; readonly check: string; readonly status: string; readonly isManual: boolean }
	| { readonly kind: "metric_standard"; readonly key: string }
	| { readonly kind: "route_damaged"; readonly key: string }
	| { readonly kind: "route_of_others"; readonly key: string; readonly flag: string | undefined; readonly flags: readonly string[] }
	| { readonly kind: "metric_damaged"; readonly key: string }
	| { readonly kind: "webhook_damaged"; readonly id: string }
	| { readonly kind: "unavailable"; readonly what: string }
	| TransferRefusal
	| { readonly kind: "internal" };

/** What a token is not good for. */
type Lacking =
	| { readonly role: Role; readonly takes: Role; readonly what: string }
	/** The token's environment, and the one that was asked for: null, all of them; undefined, none was named. */
	| { readonly reach: string; readonly asked: string | null | undefined };

/** Of an import or a promotion: nothing is written, because of these. */
interface TransferRefusal {
	readonly kind: "transfer_refused";
	/** Pointers into the request. */
	readonly errors: readonly FieldError[];
	/** What the transfer would have been, and the refusals by flag. */
	readonly report: object;
}

const UNAUTHORIZED = {
	no_token_set: "no API token is set up yet: wrangler secret put ADMIN_TOKEN -c control/wrangler.toml",
	sdk_key: "this is an SDK key, which opens the edge: control takes an API token, Authorization: Bearer <token>",
	invalid: "this token is not valid: control takes an API token, Authorization: Bearer <token>",
	none: "send an API token: Authorization: Bearer <token>",
};

/** RFC 9457. */
export interface Problem {
	readonly type: string;
	readonly title: string;
	readonly status: number;
	readonly detail: string;
	readonly errors?: readonly FieldError[];
	readonly [extension: string]: unknown;
}

/** `there`: the environment that the request is about. */
export function problemOf(refusal: Refusal, there = "this environment"): Problem {
	const { kind } = refusal;
	const problem = (status: number, title: string, detail: string, extension: object = {}): Problem => ({
		type: `urn:tidegate:problem:${kind}`,
		title,
		status,
		detail,
		...extension,
	});
	switch (kind) {
		case "invalid":
			return problem(422, "Invalid content", print(refusal.errors), { errors: refusal.errors });
		case "transfer_refused":
			return problem(422, "Refused, all of it", `nothing was written: ${print(refusal.errors)}`, {
				errors: refusal.errors,
				...refusal.report,
			});
		case "malformed":
			return problem(400, "Malformed request", refusal.detail);
		case "too_large":
			return problem(413, "Content too large", `the body exceeds ${refusal.limitBytes} bytes`, { limitBytes: refusal.limitBytes });
		case "wrong_media_type":
			return problem(415, "Unsupported media type", "send JSON, and say so: Content-Type: application/json");
		case "unauthorized":
			return problem(401, "Unauthorized", UNAUTHORIZED[refusal.why]);
		case "forbidden":
			return problem(403, "Forbidden", printLacking(refusal.why));
		case "not_found":
			return problem(404, "Not found", `there is no ${refusal.what}`);
		case "flag_missing":
			return problem(404, "Not found", `there is no flag ${refusal.key} in ${there}`);
		case "flag_exists":
			return problem(409, "Flag exists", `the flag ${refusal.key} exists in ${there}: change it with PATCH`);
		case "segment_missing":
			return problem(404, "Not found", `there is no segment ${refusal.key} in ${there}`);
		case "segment_exists":
			return problem(409, "Segment exists", `the segment ${refusal.key} exists in ${there}: change it with PATCH`);
		case "segment_in_use":
			return problem(
				409,
				"Segment in use",
				`${printUsedBy(refusal.by)} name segment ${refusal.key}: change or end them first`,
				usedBy(refusal.by),
			);
		case "segment_mismatch":
			return problem(412, "Version mismatch", `the segment is at version ${refusal.current} now: read it again`, {
				currentVersion: refusal.current,
			});
		case "version_required":
			return problem(428, "Version required", `send If-Match with the version you have read, now "${refusal.current}"`, {
				currentVersion: refusal.current,
			});
		case "version_mismatch":
			return problem(412, "Version mismatch", `the flag is at version ${refusal.current} now: read it again`, {
				currentVersion: refusal.current,
			});
		case "settings_mismatch":
			return problem(412, "Version mismatch", `the settings are at version ${refusal.current} now: read them again`, {
				currentVersion: refusal.current,
			});
		case "flag_required":
			return problem(409, "Flag required", `${printUsedBy(refusal.by)} require flag ${refusal.key}: change them first`, usedBy(refusal.by));
		case "variant_required":
			return problem(
				409,
				"Variant required",
				`${printUsedBy(refusal.by)} require a variant that flag ${refusal.key} would lose (${refusal.variants.join(", ")}): change them first`,
				usedBy(refusal.by),
			);
		case "flag_in_rollout":
			return problem(
				409,
				"Flag in a rollout",
				`${refusal.fields.join(", ")} cannot change while rollout ${refusal.rollout} is active: roll it back or cancel it first; "enabled" can change at any time`,
				{ rollout: refusal.rollout },
			);
		case "route_missing":
			return problem(404, "Not found", `there is no route ${refusal.key} in ${there}`);
		case "route_exists":
			return problem(409, "Route exists", `the route ${refusal.key} exists in ${there}: change it with PUT`);
		case "route_conflict":
			return problem(
				409,
				"Routes conflict",
				`the routes ${refusal.key} and ${refusal.with} have the same host and path, and a method in common: nothing would tell them apart`,
				{ by: [`routes/${refusal.with}`] },
			);
		case "route_mismatch":
			return problem(412, "Version mismatch", `the route is at version ${refusal.current} now: read it again`, {
				currentVersion: refusal.current,
			});
		case "route_of_others": {
			const goes = refusal.flag === undefined ? "leads to one origin" : `goes by flag ${refusal.flag}`;
			return problem(
				409,
				"Route of others",
				`the route ${refusal.key} is there and ${goes}, which this plan is not about (${refusal.flags.join(", ")}): its requests would go elsewhere at once; change it with PUT first, or give the plan's route another key`,
				{ by: [`routes/${refusal.key}`] },
			);
		}
		case "route_damaged":
			return problem(500, "Route damaged", `the stored row of route ${refusal.key} cannot be read: replace it with PUT, or delete it`);
		case "host_taken":
			return problem(
				409,
				"Host taken",
				`${refusal.environment} has routes of ${refusal.host}: a host belongs to one environment, so delete those first`,
			);
		case "too_many_routes":
			return problem(409, "Too many routes", `${there} has ${refusal.limit} routes, which is the limit: delete one first`, {
				limit: refusal.limit,
			});
		case "protection_missing":
			return problem(404, "Not found", `there is no protection ${refusal.key} in ${there}`);
		case "too_many_protections":
			return problem(409, "Too many protections", `${there} has ${refusal.limit} protections, which is the limit: lift one first`, {
				limit: refusal.limit,
			});
		case "metric_missing":
			return problem(404, "Not found", `there is no metric ${refusal.key} in ${there}`);
		case "metric_exists":
			return problem(409, "Metric exists", `the metric ${refusal.key} exists in ${there}: change it with PUT`);
		case "metric_standard":
			return problem(
				409,
				"Standard metric",
				`${refusal.key} is a standard metric: it is there in every environment, and always means the same`,
			);
		case "metric_in_use":
			return problem(409, "Metric in use", printMetricInUse(refusal), usedBy(refusal.by));
		case "too_many_metrics":
			return problem(409, "Too many metrics", `${there} has ${refusal.limit} metrics of its own, which is the limit: delete one first`, {
				limit: refusal.limit,
			});
		case "too_many_webhooks":
			return problem(409, "Too many webhooks", `there are ${refusal.limit} webhooks, which is the limit: delete one first`, {
				limit: refusal.limit,
			});
		case "too_many_reports":
			return problem(409, "Too many reports", `${there} keeps reports of ${refusal.limit} names, which is the limit`, {
				limit: refusal.limit,
			});
		case "nothing_to_confirm":
			return problem(
				409,
				"Nothing to confirm",
				`check ${refusal.check} ${refusal.isManual ? "does not wait for a person" : "is not one that a person confirms"}: it is ${refusal.status}`,
			);
		case "too_many_secrets":
			return problem(
				409,
				"Too many secrets",
				`${refusal.limit} secrets sign for this webhook, which is the limit; the next one stops at ${new Date(refusal.untilMs).toISOString()}`,
				{ limit: refusal.limit, untilMs: refusal.untilMs },
			);
		case "webhook_disabled":
			return problem(409, "Webhook disabled", `webhook ${refusal.id} is disabled: enable it first, with PATCH {"enabled": true}`);
		case "token_exists":
			return problem(409, "Token exists", `there is a token ${refusal.name}: revoke it first, or take another name`);
		case "too_many_tokens":
			return problem(409, "Too many tokens", `there are ${refusal.limit} tokens, which is the limit: revoke one first`, {
				limit: refusal.limit,
			});
		case "snapshot_too_large":
			return problem(
				422,
				"Snapshot too large",
				`the flags, segments and routes of ${there} would have ${refusal.bytes} bytes > limit ${refusal.limitBytes}: delete some, or shorten values and lists`,
				{ bytes: refusal.bytes, limitBytes: refusal.limitBytes },
			);
		case "flag_damaged":
			return problem(500, "Flag damaged", `the stored row of flag ${refusal.key} cannot be read: delete it, and create it again`);
		case "metric_damaged":
			return problem(500, "Metric damaged", `the stored row of metric ${refusal.key} cannot be read: replace it with PUT, or delete it`);
		case "webhook_damaged":
			return problem(500, "Webhook damaged", `the stored row of webhook ${refusal.id} cannot be read: delete it, and create it again`);
		case "rollout_damaged":
			return problem(
				500,
				"Rollout damaged",
				`the stored row of rollout ${refusal.id} cannot be read; cancel still works, and roll_back where it serves somebody`,
			);
		case "flag_active":
			return problem(409, "Flag in a rollout", `flag ${refusal.flag} is in the active rollout ${refusal.rollout}: one at a time`, {
				rollout: refusal.rollout,
			});
		case "wrong_status":
			return problem(409, "Command does not fit", printRefusal(refusal), { status_now: refusal.status, fits: refusal.fits });
		case "advance_refused":
			return problem(409, "Held back", printRefusal(refusal));
		case "resume_refused":
			return problem(409, "Nothing fits", printRefusal(refusal));
		case "force_refused":
			return problem(refusal.why === "admin" ? 403 : 422, "Not forced", printRefusal(refusal));
		case "approval_refused":
			return problem(409, "Not an approval", printRefusal(refusal));
		case "no_such_phase":
			return problem(422, "No such phase", printRefusal(refusal), { errors: [{ pointer: "/fromPhase", message: printRefusal(refusal) }] });
		case "idempotency_key_used":
			return problem(
				422,
				"Idempotency-Key used before",
				`this key has led to "${refusal.by}", with another body or command: send this one under a key of its own`,
			);
		case "changed_meanwhile":
			return problem(409, "Changed meanwhile", "somebody changed this at the same time and nothing was written: look, and try again");
		case "unavailable":
			return problem(503, "Unavailable", `${refusal.what} gave no answer in time: try again`);
		case "internal":
			return problem(500, "Internal error", "the control plane failed to answer; its log has the cause under this correlation id");
		default:
			return assertNever(kind);
	}
}

const A_ROLE: Readonly<Record<Role, string>> = { viewer: "a viewer", operator: "an operator", admin: "an admin" };

function printLacking(why: Lacking): string {
	if ("role" in why) return `this token is ${A_ROLE[why.role]}'s: ${why.what} takes ${A_ROLE[why.takes]}`;
	const { reach, asked } = why;
	if (asked === undefined) return `this token is for ${reach} only: name the environment, ?environment=${reach}`;
	return `this token is for ${reach} only: ${asked === null ? "this takes one for all environments" : `it does not reach ${asked}`}`;
}

const PRINTED_MAX = 50;

function print(errors: readonly FieldError[]): string {
	const printed = errors.slice(0, PRINTED_MAX).map(({ pointer, message }) => {
		// "?environment= is required", but "?flag=: lower-case letters, …".
		const isSentence = pointer.startsWith("?") && /^(?:is|takes|must) /.test(message);
		return `${pointer || "the body"}${isSentence ? "" : ":"} ${message}`;
	});
	return [...printed, ...(errors.length > PRINTED_MAX ? [`and ${errors.length - PRINTED_MAX} more`] : [])].join("; ");
}

/** Thrown by handlers, answered in one place. */
export class Refused extends Error {
	readonly refusal: Refusal;
	constructor(refusal: Refusal) {
		super(refusal.kind);
		this.refusal = refusal;
	}
}

export function refuse(refusal: Refusal): never {
	throw new Refused(refusal);
}

/** The value, or the refusal thrown. */
export function orRefuse<T>(result: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: Refusal }): T {
	return result.ok ? result.value : refuse(result.error);
}
