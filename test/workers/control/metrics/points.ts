import type { AskedSignal } from "../../../../control/metrics/source";
import type { Arm, ArmSums } from "../../../../core/health/observation";
import type { MeanSums } from "../../../../core/statistics/sequences";
import { LOG_VALUE_MIN, type Point } from "../../../../core/telemetry";

export type AttributedPoint = Point & { readonly arm: Arm };

/** Valid by default: a test changes one field. */
export function aPoint(change: Partial<AttributedPoint> = {}): AttributedPoint {
	return {
		id: null,
		rollout: "checkout.1",
		stage: 1,
		served: 5_000,
		arm: "control",
		flag: "checkout",
		variant: change.arm === "candidate" ? "true" : "false",
		metric: "error",
		unit: "ann",
		value: 0,
		harms: [],
		scored: false,
		first: true,
		...change,
	};
}

/** A value of 1 that the signal of the metric's own name takes for harm. */
export const aHarm = (change: Partial<AttributedPoint> = {}): AttributedPoint =>
	aPoint({ value: 1, harms: [{ signal: change.metric ?? "error", slot: 0 }], ...change });

export const aSignal = (metric: string, slot = 0, key = metric): AskedSignal => ({ key, metric, slot });

/** The arm is decided by the bucket alone, as it is at the edge. */
export const armOf = (bucket: number, served: number): Arm => (bucket < served ? "candidate" : "control");

const add = (values: readonly number[]): number => values.reduce((sum, each) => sum + each, 0);

/** Sums over users, straight from their definitions: group the points by user, then add up. */
export function referenceSums(points: readonly AttributedPoint[], signals: readonly AskedSignal[]): ArmSums[] {
	return signals.flatMap(({ key: signal, metric }) => {
		const arms = Map.groupBy(
			points.filter((point) => point.metric === metric),
			(point) => point.arm,
		);
		return [...arms].map(([arm, ofArm]) => ({ signal, metric, arm, ...sumsOfUsers(ofArm, signal) }));
	});
}

function sumsOfUsers(
	points: readonly AttributedPoint[],
	signal: string,
): Pick<ArmSums, "users" | "harmedFirst" | "means" | "totals" | "logs"> {
	const isHarmed = (point: AttributedPoint | undefined): boolean => point?.harms.some((harm) => harm.signal === signal) === true;
	const users = [...Map.groupBy(points, (point) => point.unit).values()].map((own) => ({
		r: own.length,
		y: own.filter(isHarmed).length,
		isHarmedFirst: isHarmed(own[0]),
		total: add(own.map(({ value }) => value)),
		logs: add(own.map(({ value }) => Math.log(Math.max(value, LOG_VALUE_MIN)))),
	}));
	const over = (of: (user: (typeof users)[number]) => number): number => add(users.map(of));
	const means = (of: (user: (typeof users)[number]) => number): MeanSums => ({
		users: users.length,
		sumOfMeans: over(of),
		sumOfSquaredMeans: over((user) => of(user) ** 2),
	});
	return {
		users: {
			users: users.length,
			harmedUsers: over(({ y }) => Number(y > 0)),
			requests: over(({ r }) => r),
			harms: over(({ y }) => y),
			harmsSquared: over(({ y }) => y ** 2),
			harmsTimesRequests: over(({ r, y }) => y * r),
			requestsSquared: over(({ r }) => r ** 2),
		},
		harmedFirst: over(({ isHarmedFirst }) => Number(isHarmedFirst)),
		means: means(({ total, r }) => total / r),
		totals: means(({ total }) => total),
		logs: means(({ logs, r }) => logs / r),
	};
}
