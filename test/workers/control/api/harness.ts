import { env, exports } from "cloudflare:workers";
import { expect } from "vitest";
import type { FlagInput } from "../../../../core/flags/model";
import type { plan } from "../../../../core/rollouts/writtenPlan";
import type * as z from "zod";
import type { Problem } from "../../../../control/api/refusals";

/** Requests to the real control Worker, and bodies that are valid by default: a test changes one field. */

export const TOKEN = "test-admin-token";
const ORIGIN = "https://control.example";

export interface Sent {
	readonly headers?: Readonly<Record<string, string>>;
	/** Sent as JSON; a string as it is. */
	readonly body?: unknown;
}

export interface Answer<T> {
	readonly status: number;
	readonly headers: Headers;
	readonly body: T;
	readonly text: string;
}

/** With the admin's token and a JSON content type, unless the headers say otherwise; an empty one is left out. */
export async function send<T = unknown>(method: string, path: string, { headers = {}, body }: Sent = {}): Promise<Answer<T>> {
	const all: Record<string, string> = {
		authorization: `Bearer ${TOKEN}`,
		...(body === undefined ? {} : { "content-type": "application/json" }),
		...headers,
	};
	const named = Object.entries(all).filter(([, value]) => value !== "");
	const text = typeof body === "string" ? body : JSON.stringify(body);
	const init: RequestInit = { method, headers: named, ...(body === undefined ? {} : { body: new TextEncoder().encode(text) }) };
	const response = await exports.default.fetch(new Request(`${ORIGIN}${path}`, init));
	const said = await response.text();
	const isJson = response.headers.get("content-type")?.includes("json") ?? false;
	return { status: response.status, headers: response.headers, body: (isJson ? JSON.parse(said) : undefined) as T, text: said };
}

/** What was answered, when it was a success; else the test fails with the problem. */
export async function done<T>(method: string, path: string, sent: Sent = {}): Promise<T> {
	const { status, body, text } = await send<T>(method, path, sent);
	expect(status, text).toBeLessThan(300);
	return body;
}

/** The problem, with what every problem has checked. */
export async function refused(status: number, method: string, path: string, sent: Sent = {}): Promise<Problem> {
	const answer = await send<Problem>(method, path, sent);
	expect(answer.status, answer.text).toBe(status);
	expect(answer.headers.get("content-type")).toBe("application/problem+json");
	expect(answer.headers.get("x-correlation-id")).toMatch(/./);
	expect(answer.body).toMatchObject({
		type: expect.stringMatching(/^urn:tidegate:problem:[a-z_]+$/),
		title: expect.stringMatching(/./),
		status,
		detail: expect.stringMatching(/./),
	});
	return answer.body;
}

export const pointersOf = (problem: Problem): readonly string[] => (problem.errors ?? []).map((each) => each.pointer);

let count = 0;
/** Storage is shared by the tests of a file, so everything has a name of its own. */
export const newKey = (): string => `key-${++count}`;

export interface FlagBody extends FlagInput {
	readonly environment: string;
	readonly version: number;
	readonly updatedAtMs: number;
}

export const aFlag = (change: Record<string, unknown> = {}): { readonly key: string } & Record<string, unknown> => ({
	key: newKey(),
	type: "boolean",
	...change,
});

export const FLAGS = "/api/v1/flags?environment=production";
export const flagAt = (key: string, environment = "production"): string => `/api/v1/flags/${key}?environment=${environment}`;
export const createFlag = (change: Record<string, unknown> = {}): Promise<FlagBody> => done("POST", FLAGS, { body: aFlag(change) });

export const aPhase = (change: Record<string, unknown> = {}): Record<string, unknown> => ({
	percent: 100,
	hold: "10m",
	criteria: ["error_rate < 3%"],
	...change,
});
export const aPlan = (
	change: Partial<Record<keyof z.infer<typeof plan>, unknown>> & Record<string, unknown> = {},
): Record<string, unknown> => ({
	rollout: newKey(),
	environment: "production",
	flags: [],
	phases: [aPhase({ percent: 5 }), aPhase({ percent: 20 }), aPhase()],
	guards: ["error_rate vs control <= +25%"],
	red_flags: ["error_rate > 10%"],
	...change,
});

export interface RolloutBody {
	readonly id: string;
	readonly name: string;
	readonly attempt: number;
	readonly status: string;
	readonly phase: string | null;
	readonly percent: number;
	readonly revision: number;
	readonly startedAtMs: number | null;
	readonly plan: unknown;
	readonly state: { readonly status: string; readonly alpha?: number };
	readonly health: unknown;
}

export const ROLLOUTS = "/api/v1/rollouts";
/** A draft over a flag of its own, unless the change names flags. */
export async function createRollout(change: Record<string, unknown> = {}): Promise<RolloutBody> {
	const flags = change["flags"] ?? [(await createFlag()).key];
	return done("POST", ROLLOUTS, { body: aPlan({ ...change, flags }) });
}
export const commandsOf = (id: string): string => `${ROLLOUTS}/${id}/commands`;
export const command = (id: string, name: string, reason = "", headers: Record<string, string> = {}): Promise<RolloutBody> =>
	done("POST", commandsOf(id), { body: { command: name, reason }, headers });

export interface AuditRow {
	readonly id: number;
	readonly atMs: number;
	readonly actor: string;
	readonly resource: string;
	readonly action: string;
	readonly reason: string;
	readonly correlationId: string;
	readonly before: unknown;
	readonly after: unknown;
}

export async function auditOf(resource: string): Promise<readonly AuditRow[]> {
	return (await done<{ audit: AuditRow[] }>("GET", `/api/v1/audit?limit=500&resource=${encodeURIComponent(resource)}`)).audit;
}

/** Every row there is: what a request wrote is the difference. */
export async function auditRows(): Promise<readonly { readonly id: number; readonly resource: string; readonly action: string }[]> {
	return (
		await env.DB.prepare("SELECT id, resource, action FROM audit ORDER BY id").all<{ id: number; resource: string; action: string }>()
	).results;
}
