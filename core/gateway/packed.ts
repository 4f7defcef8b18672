/** Routes and protections as they ride in the snapshot: what the edge reads, without zod. */

/** Where a request goes: a URL whose path is put before the request's, or a Worker by the name of its binding. */
export type Origin = { readonly url: string } | { readonly service: string };

/** Who asks: what buckets them. */
export type Targeting = { readonly header: string } | { readonly cookie: string } | { readonly visitor: true };

export interface PackedShadow {
	/** Of 100,000 requests so many are compared. */
	readonly sample: number;
	readonly methods: readonly string[];
	/** The variant whose origin answers besides. */
	readonly variant: string;
	readonly comparison: Comparison;
}

/** What of two answers must be the same. */
export interface Comparison {
	readonly status: boolean;
	/** Names in lower case. */
	readonly headers: readonly string[];
	readonly body: "none" | "bytes" | "text" | "json";
	/** Paths into the JSON that are left out, as in "$.generatedAt" or "$.items[*].id". */
	readonly ignore: readonly string[];
	/** Path → by how much two numbers may differ. */
	readonly tolerance: Readonly<Record<string, number>>;
	/** Paths whose values no sample keeps. */
	readonly redact: readonly string[];
	readonly bodyBytesMax: number;
}

export interface PackedRoute {
	readonly key: string;
	readonly host: string;
	/** The path's parts: a text, ":" for any one part, "*" for all that are left. */
	readonly path: readonly string[];
	/** Absent: all. */
	readonly methods?: readonly string[];
	/** Where it goes without a flag. */
	readonly origin?: Origin;
	readonly flag?: string;
	/** Variant → origin; all variants of the flag are there. */
	readonly origins?: Readonly<Record<string, Origin>>;
	readonly targeting: Targeting;
	/** Attribute → header, in lower case. */
	readonly context: Readonly<Record<string, string>>;
	/** Flags that the origin is told of. */
	readonly forward: readonly string[];
	readonly timeoutMs: number;
	/** An idempotent request that fails on the candidate is sent to the baseline. */
	readonly retry: boolean;
	readonly fuse: boolean;
	/** Statuses below 500 that are errors too. */
	readonly errors: readonly number[];
	readonly shadow?: PackedShadow;
	/** 0 is shed first, 9 last. */
	readonly priority: number;
	/** Never shed. */
	readonly exempt: boolean;
	readonly bodyBytesMax: number;
	readonly headerBytesMax: number;
}

/** Switched by hand, and never for ever. */
export type PackedProtection = { readonly key: string; readonly untilMs: number; readonly host?: string } & (
	| /** Of the requests of each priority up to this one so many in 100,000 are refused. */ {
			readonly kind: "shed";
			readonly share: number;
			readonly upTo: number;
			/** Paths, cut into parts, that are never refused; absent: none. */
			readonly exempt?: readonly (readonly string[])[];
	  }
	| /** Only members of these segments get through. */ { readonly kind: "lock_down"; readonly segments: readonly string[] }
	| /** Members of these segments get the baseline. */ { readonly kind: "isolate"; readonly segments: readonly string[] }
);

export interface PackedGateway {
	readonly routes: readonly PackedRoute[];
	readonly protections: readonly PackedProtection[];
}
