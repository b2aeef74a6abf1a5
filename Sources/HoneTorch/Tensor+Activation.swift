// The rarer functions of single elements.

private enum Functions {
    static let hardSwish = Operator("aten::hardswish")
    static let leakyRelu = Operator("aten::leaky_relu")
    static let mish = Operator("aten::mish")
    static let relu6 = Operator("aten::relu6")
    static let softplus = Operator("aten::softplus")
    static let erf = Operator("aten::erf")
}

extension Tensor {
    /// `x · relu6(x + 3) / 6`
    public func hardSwish() throws -> Tensor { try Functions.hardSwish(.tensor(self)) }

    /// Each element, multiplied by a slope where it is below 0.
    public func leakyRelu(slope: Double) throws -> Tensor { try Functions.leakyRelu(.tensor(self), .real(slope)) }

    /// `x · tanh(softplus(x))`
    public func mish() throws -> Tensor { try Functions.mish(.tensor(self)) }

    /// Each element, kept from 0 to 6.
    public func relu6() throws -> Tensor { try Functions.relu6(.tensor(self)) }

    /// `log(1 + exp(x))`, without overflow.
    public func softplus() throws -> Tensor { try Functions.softplus(.tensor(self), .real(1), .real(20)) }

    /// Gauss's error function.
    public func errorFunction() throws -> Tensor { try Functions.erf(.tensor(self)) }
}
