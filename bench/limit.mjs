/**
 * The limit: what a good programmer would write by hand for exactly these flags. Each flag becomes closures with everything
 * known beforehand resolved: no snapshot, no overlay, no rollouts, no metadata, no guard against hostile contexts. It
 * buckets as Tidegate does (checked before timing) and gives the caller a result of its own, as every arm does.
 */
export function compile(flags) {
	const compiled = new Map(flags.map((flag) => [flag.key, compileFlag(flag)]));
	const all = [...compiled.values()];
	return {
		one: (key, context) => compiled.get(key)(context),
		all: (context) => all.map((each) => each(context)),
	};
}

function compileFlag(flag) {
	const { variants, enabled, offVariant, salt } = flag;
	const fixed = (variant, reason) => {
		const value = variants[variant];
		return () => ({ value, variant, reason });
	};
	const off = fixed(offVariant, "DEFAULT");
	if (!enabled) return fixed(offVariant, "DISABLED");
	const seed = murmur3(salt, 0);
	const split = (parts) => {
		let sum = 0;
		const bounds = parts.map(({ weight }) => (sum += weight));
		const results = parts.map(({ variant }) => fixed(variant, "SPLIT"));
		return (context) => {
			const bucket = Math.floor((murmur3(context.targetingKey, seed) * 100_000) / 2 ** 32);
			let part = 0;
			while (bucket >= bounds[part]) part++;
			return results[part](context);
		};
	};
	const compileServe = (serve, reason, otherwise) => {
		if (typeof serve === "string") return fixed(serve, reason);
		const bucketed = split(serve);
		return (context) => (context.targetingKey ? bucketed(context) : otherwise(context));
	};
	// From the last to the first: a rule that does not match goes on with the next.
	let next = compileServe(flag.fallthrough, flag.rules.length > 0 ? "DEFAULT" : "STATIC", off);
	for (const { when, serve } of flag.rules.toReversed()) next = compileRule(when, compileServe(serve, "TARGETING_MATCH", next), next);
	return next;
}

function compileRule({ attribute, op, values }, serve, next) {
	if (op === "equals") {
		const [wanted] = values;
		return (context) => (context[attribute] === wanted ? serve(context) : next(context));
	}
	return (context) => (values.includes(context[attribute]) ? serve(context) : next(context));
}

const encoder = new TextEncoder();

/** murmur3-32 of the UTF-8 bytes, straight from the characters where they are ASCII (or stand for bytes). */
function murmur3(text, seed, areBytes = false) {
	const { length } = text;
	const blocks = length & ~3;
	let hash = seed;
	let seen = 0;
	for (let i = 0; i < blocks; i += 4) {
		const a = text.charCodeAt(i);
		const b = text.charCodeAt(i + 1);
		const c = text.charCodeAt(i + 2);
		const d = text.charCodeAt(i + 3);
		seen |= a | b | c | d;
		let k = Math.imul(a | (b << 8) | (c << 16) | (d << 24), 0xcc9e2d51);
		k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
		hash ^= k;
		hash = (hash << 13) | (hash >>> 19);
		hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
	}
	let tail = 0;
	for (let i = length - 1; i >= blocks; i--) {
		const code = text.charCodeAt(i);
		seen |= code;
		tail = (tail << 8) | code;
	}
	if (seen > 0x7f && !areBytes) return murmur3(String.fromCharCode(...encoder.encode(text)), seed, true);
	if (length > blocks) {
		const k = Math.imul(tail, 0xcc9e2d51);
		hash ^= Math.imul((k << 15) | (k >>> 17), 0x1b873593);
	}
	hash ^= length;
	hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
	hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
	return (hash ^ (hash >>> 16)) >>> 0;
}
