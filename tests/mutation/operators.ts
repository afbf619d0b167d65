/**
 * Finds the mutants of a source file: small changes, each of which a test should notice. The
 * operators are those that seldom yield a program that behaves the same; texts for people are left
 * alone.
 *
 * @module
 */
import ts from "typescript";

/** One change of a source file. */
export interface Mutant {
  /** The file, by its path in the repository. */
  readonly file: string;
  /** The line of the change, from 1. */
  readonly line: number;
  /** The function, method or class that it is in. */
  readonly where: string;
  /** What is changed: the source between these offsets. */
  readonly start: number;
  readonly end: number;
  readonly original: string;
  /** What replaces it; a statement is replaced by nothing. */
  readonly replacement: string;
  readonly isStatement: boolean;
}

type Emit = (node: ts.Node, replacement: string) => void;

/** Methods that return (almost) the value they are called on, so that the call can be left out. */
const PASSING = /^(filter|sort|toSorted|reverse|toReversed|slice|trim|trimEnd|normalize|padStart)$/;

const BOUNDARIES: Partial<Record<ts.SyntaxKind, string>> = {
  [ts.SyntaxKind.LessThanToken]: "<=",
  [ts.SyntaxKind.LessThanEqualsToken]: "<",
  [ts.SyntaxKind.GreaterThanToken]: ">=",
  [ts.SyntaxKind.GreaterThanEqualsToken]: ">",
};

const ARITHMETIC: Partial<Record<ts.SyntaxKind, string>> = {
  [ts.SyntaxKind.PlusToken]: "-",
  [ts.SyntaxKind.MinusToken]: "+",
  [ts.SyntaxKind.AsteriskToken]: "/",
  [ts.SyntaxKind.SlashToken]: "*",
  [ts.SyntaxKind.PercentToken]: "*",
  [ts.SyntaxKind.PlusEqualsToken]: "-=",
  [ts.SyntaxKind.MinusEqualsToken]: "+=",
};

const EQUALITIES = new Set([
  ts.SyntaxKind.EqualsEqualsEqualsToken,
  ts.SyntaxKind.ExclamationEqualsEqualsToken,
  ts.SyntaxKind.InKeyword,
  ts.SyntaxKind.InstanceOfKeyword,
]);

/** Finds the mutants of a file, in the order of the source. */
export function mutantsOf(file: string, source: string): Mutant[] {
  const tree = ts.createSourceFile(file, source, ts.ScriptTarget.Latest, true);
  const mutants: Mutant[] = [];
  const emit: Emit = (node, replacement) => {
    if (isInsideChain(node)) return;
    const [start, end] = [node.getStart(tree), node.getEnd()];
    mutants.push({
      file,
      line: tree.getLineAndCharacterOfPosition(start).line + 1,
      where: placeOf(node),
      ...{ start, end, replacement },
      original: source.slice(start, end),
      isStatement: ts.isStatement(node),
    });
  };
  visit(tree, emit);
  return mutants.sort((a, b) => a.start - b.start || b.end - a.end);
}

function visit(node: ts.Node, emit: Emit): void {
  if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isImportDeclaration(node)) {
    return;
  }
  mutate(node, emit);
  ts.forEachChild(node, (child) => visit(child, emit));
}

function mutate(node: ts.Node, emit: Emit): void {
  if (ts.isIfStatement(node)) decide(node.expression, emit);
  else if (ts.isConditionalExpression(node)) decide(node.condition, emit);
  else if (ts.isWhileStatement(node) || ts.isDoStatement(node)) loop(node.expression, emit);
  else if (ts.isForStatement(node)) loop(node.condition, emit);
  else if (ts.isExpressionStatement(node)) leaveOut(node, emit);
  else if (ts.isThrowStatement(node)) leaveOutThrow(node, emit);
  else if (ts.isReturnStatement(node)) forgetResult(node, emit);
  else if (ts.isVariableDeclarationList(node)) forgetResource(node, emit);
  else if (ts.isPrefixUnaryExpression(node)) decideValue(node, emit);
  else if (ts.isBinaryExpression(node)) mutateBinary(node, emit);
  else if (ts.isCallExpression(node)) mutateCall(node, emit);
  else mutateLiteral(node, emit);
}

// ---------------------------------------------------------------- conditions

/** A condition that is always true, or always false; each of its parts, if it has several. */
function decide(node: ts.Expression, emit: Emit, values = { true: true, false: true }): void {
  if (ts.isParenthesizedExpression(node)) return decide(node.expression, emit, values);
  if (isNegation(node) && ts.isParenthesizedExpression(node.operand)) {
    return decide(node.operand, emit, { true: values.false, false: values.true });
  }
  const operator = ts.isBinaryExpression(node) ? node.operatorToken.kind : undefined;
  const isAnd = operator === ts.SyntaxKind.AmpersandAmpersandToken;
  if (isAnd || operator === ts.SyntaxKind.BarBarToken) {
    // One false part decides an "and" as the others would, and one true part an "or".
    if (isAnd ? values.false : values.true) emit(node, `${!isAnd}`);
    const { left, right } = node as ts.BinaryExpression;
    for (const part of [left, right]) decide(part, emit, { true: isAnd, false: !isAnd });
    return;
  }
  if (node.kind === ts.SyntaxKind.TrueKeyword || node.kind === ts.SyntaxKind.FalseKeyword) return;
  if (values.true) emit(node, "true");
  if (values.false) emit(node, "false");
}

/** A loop that is not entered. The opposite would never end. */
function loop(node: ts.Expression | undefined, emit: Emit): void {
  if (node !== undefined) decide(node, emit, { true: false, false: true });
}

/** A condition that is used as a value. Other conditions are mutated where they are used. */
function decideValue(node: ts.Expression, emit: Emit): void {
  if (isCondition(node) && !isPartOfCondition(node)) decide(node, emit);
}

function isCondition(node: ts.Expression): boolean {
  if (ts.isParenthesizedExpression(node)) return isCondition(node.expression);
  if (isNegation(node)) return true;
  if (!ts.isBinaryExpression(node)) return false;
  const { kind } = node.operatorToken;
  if (isLogical(kind)) return isCondition(node.right);
  return kind in BOUNDARIES || EQUALITIES.has(kind as ts.BinaryOperator);
}

function isNegation(node: ts.Node): node is ts.PrefixUnaryExpression {
  return ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.ExclamationToken;
}

function isLogical(kind: ts.SyntaxKind): boolean {
  return kind === ts.SyntaxKind.AmpersandAmpersandToken || kind === ts.SyntaxKind.BarBarToken;
}

/** Whether a condition is mutated together with the one that it is a part of. */
function isPartOfCondition(node: ts.Node): boolean {
  const { parent } = node;
  if (ts.isParenthesizedExpression(parent)) return isPartOfCondition(parent);
  if (isNegation(parent)) return true;
  if (ts.isBinaryExpression(parent) && isLogical(parent.operatorToken.kind)) {
    return parent.left === node || isCondition(parent) || isPartOfCondition(parent);
  }
  if (ts.isIfStatement(parent) || ts.isWhileStatement(parent) || ts.isDoStatement(parent)) {
    return parent.expression === node;
  }
  return (ts.isConditionalExpression(parent) || ts.isForStatement(parent)) &&
    parent.condition === node;
}

// ---------------------------------------------------------------- operators

function mutateBinary(node: ts.BinaryExpression, emit: Emit): void {
  const { left, right, operatorToken: { kind } } = node;
  decideValue(node, emit);
  const [a, b] = [left.getText(), right.getText()];
  if (isLogical(kind) && !isCondition(node) && !isPartOfCondition(node)) {
    const isAnd = kind === ts.SyntaxKind.AmpersandAmpersandToken;
    decide(left, emit, { true: isAnd, false: !isAnd });
  }
  if (kind === ts.SyntaxKind.QuestionQuestionToken) {
    emit(node, a);
    emit(node, b);
  }
  const swapped = BOUNDARIES[kind] ?? (isText(node) ? undefined : ARITHMETIC[kind]);
  if (swapped !== undefined) emit(node, `${a} ${swapped} ${b}`);
}

function isText(node: ts.Expression): boolean {
  if (ts.isStringLiteralLike(node) || ts.isTemplateExpression(node)) return true;
  if (ts.isParenthesizedExpression(node)) return isText(node.expression);
  if (ts.isConditionalExpression(node)) return isText(node.whenTrue);
  return ts.isBinaryExpression(node) && (isText(node.left) || isText(node.right));
}

function mutateCall(node: ts.CallExpression, emit: Emit): void {
  const callee = node.expression;
  if (!ts.isPropertyAccessExpression(callee)) return;
  const [object, method] = [callee.expression.getText(), callee.name.text];
  if (PASSING.test(method)) emit(node, object);
  if (object !== "Math" || !/^(min|max)$/.test(method)) return;
  const text = node.getText().replace(/min|max/, method === "min" ? "max" : "min");
  emit(node, text);
}

// ---------------------------------------------------------------- statements and results

function leaveOut(node: ts.ExpressionStatement, emit: Emit): void {
  const { expression } = node;
  if (ts.isStringLiteral(expression)) return;
  if (ts.isCallExpression(expression) && expression.expression.getText() === "super") return;
  emit(node, "");
  if (ts.isAwaitExpression(expression)) emit(expression, expression.expression.getText());
}

/** A thrown error is left out, unless a condition stands before it, which is mutated instead. */
function leaveOutThrow(node: ts.ThrowStatement, emit: Emit): void {
  const block = ts.isBlock(node.parent) && node.parent.statements[0] === node
    ? node.parent.parent
    : node.parent;
  if (!ts.isIfStatement(block)) emit(node, "");
}

function forgetResult({ expression }: ts.ReturnStatement, emit: Emit): void {
  if (expression === undefined || isCondition(expression)) return;
  if (/^(true|false|undefined|""|\d+)$/.test(expression.getText())) return;
  emit(expression, "undefined");
}

/** A resource that is only held, such as a lock, is not acquired. */
function forgetResource(node: ts.VariableDeclarationList, emit: Emit): void {
  if ((node.flags & ts.NodeFlags.Using) === 0) return;
  for (const { name, initializer } of node.declarations) {
    if (initializer !== undefined && name.getText().startsWith("_")) emit(initializer, "undefined");
  }
}

// ---------------------------------------------------------------- constants

function mutateLiteral(node: ts.Node, emit: Emit): void {
  if (node.kind === ts.SyntaxKind.TrueKeyword) emit(node, "false");
  else if (node.kind === ts.SyntaxKind.FalseKeyword) emit(node, "true");
  else if (ts.isNumericLiteral(node) && !isKey(node)) emit(node, otherNumber(Number(node.text)));
  else if (ts.isStringLiteralLike(node) && !isKey(node)) mutateString(node, emit);
  else if (ts.isArrayLiteralExpression(node) && node.elements.length > 0 && !isTarget(node)) {
    emit(node, "[]");
  }
}

/** Small numbers are off by one; large ones are limits, which ten times as much no longer limits. */
function otherNumber(value: number): string {
  if (value === 0) return "1";
  if (value === 1) return "0";
  return `${value <= 20 ? value + 1 : value * 10}`;
}

function mutateString(node: ts.StringLiteralLike, emit: Emit): void {
  const { parent } = node;
  if (/ /.test(node.text) || ts.isTaggedTemplateExpression(parent)) return;
  if (ts.isExportDeclaration(parent) || ts.isImportAttribute(parent)) return;
  if (ts.isCallExpression(parent) && parent.expression.kind === ts.SyntaxKind.ImportKeyword) return;
  // A comparison with another text is the same as one that is never true.
  if (ts.isBinaryExpression(parent) && EQUALITIES.has(parent.operatorToken.kind)) return;
  emit(node, node.text === "" ? `"mutant"` : `""`);
}

function isKey(node: ts.Node): boolean {
  const { parent } = node;
  return (ts.isPropertyAssignment(parent) || ts.isPropertyDeclaration(parent) ||
    ts.isMethodDeclaration(parent)) && parent.name === node;
}

/** Whether a list is on the left of an assignment. */
function isTarget(node: ts.Node): boolean {
  const { parent } = node;
  return (ts.isBinaryExpression(parent) && parent.left === node &&
    parent.operatorToken.kind === ts.SyntaxKind.EqualsToken) ||
    (ts.isForOfStatement(parent) && parent.initializer === node);
}

// ---------------------------------------------------------------- places

/** Whether a node is in an optional chain but not all of it: taken alone, it would not end it. */
function isInsideChain(node: ts.Node): boolean {
  const isChain = (node.parent.flags & ts.NodeFlags.OptionalChain) !== 0;
  return isChain && (node.parent as ts.CallChain).expression === node;
}

/** The names of the class and the function around a node. */
function placeOf(node: ts.Node): string {
  const names: string[] = [];
  for (let one = node.parent; one !== undefined; one = one.parent) {
    if (
      (ts.isClassDeclaration(one) || ts.isFunctionDeclaration(one) ||
        ts.isMethodDeclaration(one) || ts.isAccessor(one) || ts.isPropertyDeclaration(one)) &&
      one.name !== undefined
    ) names.unshift(one.name.getText());
    if (ts.isConstructorDeclaration(one)) names.unshift("constructor");
    if (ts.isVariableStatement(one) && one.parent === one.getSourceFile()) {
      names.unshift(one.declarationList.declarations[0].name.getText());
    }
  }
  return names.join(".") || "(top)";
}
