/** Tests of channels that cannot connect, or close during a call, and leave a timer of grpc-js. */

/**
 * Options for such tests. grpc-js does not clear its back-off (1 ms here) and its connection timer
 * (250 ms) when a channel is closed, nor the one that looks for unused connections every 10 s if a
 * call still holds one at that moment; they do nothing when they fire. The runtime counts a timer as
 * an operation and as a resource, so neither can be checked. Every other test checks both.
 */
export const GRPC_TIMERS_OUTLIVE_CHANNELS = {
  sanitizeOps: false,
  sanitizeResources: false,
} as const;
