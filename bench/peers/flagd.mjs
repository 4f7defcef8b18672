import { FlagdCore } from "@openfeature/flagd-core";

export const name = "@openfeature/flagd-core";

/** JSON logic: the rules become one chain of if. */
export function start(flags, contexts) {
	const core = new FlagdCore(undefined, silent);
	core.setConfigurations(JSON.stringify({ flags: Object.fromEntries(flags.map((flag) => [flag.key, translate(flag)])) }));
	const types = new Map(flags.map(({ key, type }) => [key, type]));
	const defaults = { boolean: false, string: "" };
	return {
		one(key, i) {
			const type = types.get(key);
			return core.resolve(type, key, defaults[type], contexts[i]);
		},
		all: (i) => core.resolveAll(contexts[i]),
		valueOf: (result) => result.value,
	};
}

const silent = { error() {}, warn() {}, info() {}, debug() {} };

function translate({ variants, enabled, offVariant, rules, fallthrough }) {
	const chain = rules.flatMap(({ when, serve }) => [condition(when), serveOf(serve)]);
	if (!enabled) return { state: "ENABLED", variants, defaultVariant: offVariant };
	if (typeof fallthrough === "string" && rules.length === 0) return { state: "ENABLED", variants, defaultVariant: fallthrough };
	const last = serveOf(fallthrough);
	return { state: "ENABLED", variants, defaultVariant: offVariant, targeting: rules.length > 0 ? { if: [...chain, last] } : last };
}

const condition = ({ attribute, op, values }) =>
	op === "equals" ? { "==": [{ var: attribute }, values[0]] } : { in: [{ var: attribute }, values] };

const serveOf = (serve) =>
	typeof serve === "string" ? serve : { fractional: serve.map(({ variant, weight }) => [variant, weight / 1_000]) };
