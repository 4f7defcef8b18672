import { createRequire } from "node:module";
import { EventEmitter } from "node:events";

// Its evaluating core alone: `Unleash` around it adds metrics and polling, and would only be slower.
const require = createRequire(import.meta.url);
const { default: Client } = require("unleash-client/lib/client.js");
const { defaultStrategies } = require("unleash-client/lib/strategy/index.js");

export const name = "unleash-client";

/** Every variant is an Unleash variant: a rule is a strategy with constraints, the fallthrough one without. */
export function start(flags, contexts) {
	const toggles = new Map(flags.map((flag) => [flag.key, translate(flag)]));
	const repository = Object.assign(new EventEmitter(), { getToggle: (key) => toggles.get(key), getSegment: () => undefined });
	const client = new Client(repository, defaultStrategies);
	const users = contexts.map(({ targetingKey: userId, ...properties }) => ({ userId, properties }));
	const keys = flags.map(({ key }) => key);
	const values = new Map(flags.map(({ key, variants }) => [key, variants]));
	const off = new Map(flags.map(({ key, offVariant }) => [key, offVariant]));
	return {
		one: (key, i) => client.getVariant(key, users[i]),
		all: (i) => keys.map((key) => client.getVariant(key, users[i])),
		valueOf: (result, key) => values.get(key)[result.enabled ? result.name : off.get(key)],
	};
}

function translate({ key, enabled, rules, fallthrough }) {
	const targeted = rules.map(({ when, serve }) => strategy(key, [constraint(when)], serve));
	return {
		name: key,
		type: "release",
		enabled,
		strategies: [...targeted, strategy(key, [], fallthrough)],
		variants: [],
		impressionData: false,
	};
}

const strategy = (groupId, constraints, serve) => ({
	name: "flexibleRollout",
	parameters: { rollout: "100", stickiness: "default", groupId },
	constraints,
	variants: (typeof serve === "string" ? [{ variant: serve, weight: 100_000 }] : serve).map(({ variant, weight }) => ({
		name: variant,
		weight: weight / 100,
		stickiness: "default",
		payload: { type: "string", value: variant },
	})),
});

const constraint = ({ attribute, values }) => ({ contextName: attribute, operator: "IN", values, inverted: false, caseInsensitive: false });
