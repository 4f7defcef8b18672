import { hashText } from "../core/flags/bucket";
import { hexOf } from "../core/flags/hex";
import type { Reason, Resolution } from "../core/flags/evaluate";
import type { Context } from "../core/flags/match";
import type { FlagValue } from "../core/flags/model";
import { err, ok, type Result } from "../core/result";
import { type Audience, resolveAllFor, resolveFor } from "./audience";
import { BODY_BYTES_MAX, isJsonObject, readJson } from "./body";

/** OpenFeature's remote evaluation protocol: https://github.com/open-feature/protocol */

type ErrorCode = "FLAG_NOT_FOUND" | "PARSE_ERROR" | "INVALID_CONTEXT" | "GENERAL";
interface Failure {
	readonly key?: string;
	readonly errorCode: ErrorCode;
	readonly errorDetails: string;
}
interface Success {
	readonly key: string;
	readonly value: FlagValue;
	readonly reason: Reason | "STALE";
	readonly variant: string;
	readonly metadata: object;
}
interface Asked {
	readonly context: Context;
	readonly text: string;
}
interface Refused extends Failure {
	readonly status: 400 | 413;
}

const NO_CONTEXT: Context = {};
/** To either kind of key the same, whether the flag is hidden from it or there is none. */
const NOT_FOUND = {
	server:
		"This environment has no flag of this key: check its spelling, and the environment of your SDK key. A new flag is known here within 10 s.",
	client:
		"A client key opens no flag of this key: check its spelling, the environment of the key, and whether the flag is public. A change is known here within 10 s.",
};
const UNREADABLE = "The stored flag cannot be read: publish it again, and report it when that does not help.";

export async function evaluateOne(request: Request, audience: Audience, key: string): Promise<Response> {
	const asked = await ask(request);
	if (!asked.ok) return refuse(asked.error, key);
	const answer = answerOf(key, resolveFor(audience, key, asked.value.context), audience);
	if (!("errorCode" in answer)) return Response.json(answer);
	return Response.json(answer, { status: answer.errorCode === "FLAG_NOT_FOUND" ? 404 : 400 });
}

export async function evaluateAll(request: Request, audience: Audience, environment: string): Promise<Response> {
	const asked = await ask(request);
	if (!asked.ok) return refuse(asked.error);
	const etag = etagOf(audience, environment, asked.value.text);
	if (isHeld(etag, request.headers.get("If-None-Match"))) return new Response(null, { status: 304, headers: { ETag: etag } });
	const flags = resolveAllFor(audience, asked.value.context).map(([key, resolution]) => answerOf(key, resolution, audience));
	return Response.json({ flags, metadata: { snapshot: audience.serving.snapshot.version } }, { headers: { ETag: etag } });
}

function answerOf(key: string, resolution: Resolution, { kind, serving }: Audience): Success | Failure {
	if (resolution.reason === "ERROR") {
		const { errorCode } = resolution;
		return { key, errorCode, errorDetails: errorCode === "FLAG_NOT_FOUND" ? NOT_FOUND[kind] : UNREADABLE };
	}
	const { value, variant, reason, metadata } = resolution;
	return { key, value, reason: serving.isStale ? "STALE" : reason, variant, metadata };
}

async function ask(request: Request): Promise<Result<Asked, Refused>> {
	const body = await readJson(request);
	if (!body.ok) {
		switch (body.error) {
			case "too_large":
				return err({ status: 413, errorCode: "GENERAL", errorDetails: `The body is larger than ${BODY_BYTES_MAX} bytes.` });
			case "malformed":
				return err({ status: 400, errorCode: "PARSE_ERROR", errorDetails: 'The body is not JSON: send {"context": {…}}.' });
		}
	}
	const invalid = (errorDetails: string): Result<Asked, Refused> => err({ status: 400, errorCode: "INVALID_CONTEXT", errorDetails });
	const { value = {}, text } = body;
	if (!isJsonObject(value)) return invalid('The body is not an object: send {"context": {…}}.');
	const { context = NO_CONTEXT } = value;
	if (!isJsonObject(context)) return invalid("context is not an object.");
	if (Object.hasOwn(context, "targetingKey") && typeof context["targetingKey"] !== "string")
		return invalid("context.targetingKey is not a string: send the user's id as one, or leave it out.");
	return ok({ context, text });
}

function refuse({ status, ...failure }: Refused, key?: string): Response {
	return Response.json(key === undefined ? failure : { key, ...failure }, { status });
}

const ETAG_SEEDS = [0x1b87_3593, 0x2545_f491, 0x3c6e_f372, 0x4f1b_bcdc];

/**
 * Strong, over all that an answer depends on: 128 bits. JSON keeps the parts apart. No cryptographic hash, which would leave
 * JavaScript for it: who made two contexts collide would mislead their own client only.
 */
function etagOf({ serving, kind }: Audience, environment: string, text: string): string {
	const { snapshot, overlay, isStale } = serving;
	const { version, publishedAtMs } = snapshot.header;
	const all = JSON.stringify([environment, kind, version, publishedAtMs, [...overlay.kill], [...overlay.baseline], isStale, text]);
	return `"${ETAG_SEEDS.map((seed) => hexOf(hashText(all, seed))).join("")}"`;
}

/** Weak comparison, for whoever compresses on the way weakens the tag. */
function isHeld(etag: string, ifNoneMatch: string | null): boolean {
	return (ifNoneMatch ?? "").split(",").some((each) => each.trim().replace(/^W\//, "") === etag);
}
