import { afterAll, describe, expect, test } from "vitest";
import { outsideDialect } from "../unit/metrics/dialect";
import { describeMetricsSource } from "../workers/control/metrics/contract";
import { openStore } from "./store";

const store = await openStore();
afterAll(() => store.close());

describeMetricsSource("Analytics Engine", store);

describe("Analytics Engine: the queries of all that", () => {
	test("are inside the dialect", () => {
		expect(store.api.queries.length).toBeGreaterThan(100);
		for (const sql of new Set(store.api.queries)) expect(outsideDialect(sql), sql).toEqual([]);
	});
});
