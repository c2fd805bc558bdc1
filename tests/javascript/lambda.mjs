// What a program does with AWS's SDK. Nothing here knows Eyas: where Lambda is, and who calls, is in
// the environment.
//
// node lambda.mjs SCENARIO [JSON ARGUMENT]... prints what the scenario returns, as JSON.

import { setTimeout as pause } from "node:timers/promises";

import {
  GetDurableExecutionCommand,
  GetDurableExecutionHistoryCommand,
  InvokeCommand,
  InvokeWithResponseStreamCommand,
  LambdaClient,
  StopDurableExecutionCommand,
  paginateListFunctions,
  waitUntilFunctionActiveV2,
} from "@aws-sdk/client-lambda";

const client = new LambdaClient({});

const invoke = (FunctionName, payload, more = {}) =>
  client.send(new InvokeCommand({ FunctionName, Payload: JSON.stringify(payload), ...more }));

const read = (answer) => answer.Payload.transformToString();

/** What an SDK makes of a refusal. */
async function refusal(call) {
  try {
    await call;
  } catch (error) {
    const { name, message, $fault, $metadata = {} } = error;
    const { httpStatusCode, attempts } = $metadata;
    return { name, type: error.constructor.name, message, $fault, httpStatusCode, attempts };
  }
  throw new Error("it was not refused");
}

const scenarios = {
  async waited(name, payload) {
    const answer = await invoke(name, payload);
    const { StatusCode, ExecutedVersion, FunctionError, $metadata } = answer;
    const { requestId } = $metadata;
    return { StatusCode, ExecutedVersion, FunctionError, requestId, payload: read(answer) };
  },

  async polled(name, payload, executionName) {
    const asked = { InvocationType: "Event", DurableExecutionName: executionName };
    const { StatusCode, DurableExecutionArn } = await invoke(name, payload, asked);
    let found;
    do {
      await pause(50);
      found = await client.send(new GetDurableExecutionCommand({ DurableExecutionArn }));
    } while (found.Status === "RUNNING");
    const history = await client.send(
      new GetDurableExecutionHistoryCommand({ DurableExecutionArn }),
    );
    const { Status, Result, InputPayload, StartTimestamp, EndTimestamp } = found;
    return {
      StatusCode, DurableExecutionArn, Status, Result, InputPayload, StartTimestamp, EndTimestamp,
      events: history.Events.map((event) => event.EventType),
    };
  },

  async stopped(name, payload) {
    const { DurableExecutionArn } = await invoke(name, payload, { InvocationType: "Event" });
    const { StopTimestamp } = await client.send(
      new StopDurableExecutionCommand({ DurableExecutionArn, Error: { ErrorType: "Mine" } }),
    );
    const found = await client.send(new GetDurableExecutionCommand({ DurableExecutionArn }));
    return { StopTimestamp, Status: found.Status, EndTimestamp: found.EndTimestamp };
  },

  unknown: (name) => refusal(invoke(name, {})),

  async startedTwice(name, payloads, DurableExecutionName) {
    const asked = { InvocationType: "Event", DurableExecutionName };
    await invoke(name, payloads[0], asked);
    return refusal(invoke(name, payloads[1], asked));
  },

  async active(FunctionName) {
    const { state } = await waitUntilFunctionActiveV2({ client, maxWaitTime: 20 }, { FunctionName });
    return state;
  },

  async neverActive(FunctionName) {
    const begun = performance.now();
    const waiting = waitUntilFunctionActiveV2({ client, maxWaitTime: 20 }, { FunctionName });
    const { message } = await refusal(waiting);
    return { message, seconds: (performance.now() - begun) / 1000 };
  },

  async listed(pageSize) {
    const pages = [];
    for await (const page of paginateListFunctions({ client, pageSize }, {})) {
      pages.push(page.Functions.map((one) => one.FunctionName));
    }
    return pages;
  },

  async logged(name, payload) {
    const answer = await invoke(name, payload, { LogType: "Tail" });
    return Buffer.from(answer.LogResult, "base64").toString();
  },

  async streamed(FunctionName, payload) {
    const command = new InvokeWithResponseStreamCommand({
      FunctionName,
      Payload: JSON.stringify(payload),
    });
    const { StatusCode, ResponseStreamContentType, EventStream } = await client.send(command);
    const chunks = [];
    let complete;
    for await (const event of EventStream) {
      if (event.PayloadChunk) chunks.push(Buffer.from(event.PayloadChunk.Payload).toString());
      if (event.InvokeComplete) complete = event.InvokeComplete;
    }
    return { StatusCode, ResponseStreamContentType, chunks, complete };
  },

  async dry(name) {
    const { StatusCode, Payload } = await invoke(name, {}, { InvocationType: "DryRun" });
    return { StatusCode, bytes: Payload?.length ?? 0 };
  },

  async impatient(name, payload) {
    const hasty = new LambdaClient({
      maxAttempts: 5,
      requestHandler: { requestTimeout: 1000, throwOnRequestTimeout: true },
    });
    const command = new InvokeCommand({ FunctionName: name, Payload: JSON.stringify(payload) });
    const answer = await hasty.send(command);
    return { attempts: answer.$metadata.attempts, payload: read(answer) };
  },
};

const [scenario, ...given] = process.argv.slice(2);
console.log(JSON.stringify(await scenarios[scenario](...given.map((text) => JSON.parse(text)))));
