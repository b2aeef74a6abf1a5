// Arithmetic, comparison, selection; in place at the end.

private enum Arithmetic {
    static let add = Operator("aten::add", "Tensor")
    static let addS = Operator("aten::add", "Scalar")
    static let sub = Operator("aten::sub", "Tensor")
    static let rsub = Operator("aten::rsub", "Scalar")
    static let mul = Operator("aten::mul", "Tensor")
    static let mulS = Operator("aten::mul", "Scalar")
    static let div = Operator("aten::div", "Tensor")
    static let divS = Operator("aten::div", "Scalar")
    static let neg = Operator("aten::neg")
    static let pow = Operator("aten::pow", "Tensor_Scalar")
    static let exp = Operator("aten::exp")
    static let log = Operator("aten::log")
    static let sqrt = Operator("aten::sqrt")
    static let rsqrt = Operator("aten::rsqrt")
    static let abs = Operator("aten::abs")
    static let recip = Operator("aten::reciprocal")
    static let sin = Operator("aten::sin")
    static let cos = Operator("aten::cos")
    static let clampMin = Operator("aten::clamp_min")
    static let clampMax = Operator("aten::clamp_max")
    static let eq = Operator("aten::eq", "Tensor")
    static let eqS = Operator("aten::eq", "Scalar")
    static let neS = Operator("aten::ne", "Scalar")
    static let ltS = Operator("aten::lt", "Scalar")
    static let gtS = Operator("aten::gt", "Scalar")
    static let geS = Operator("aten::ge", "Scalar")
    static let lt = Operator("aten::lt", "Tensor")
    static let ge = Operator("aten::ge", "Tensor")
    static let le = Operator("aten::le", "Tensor")
    static let gt = Operator("aten::gt", "Tensor")
    static let logicalNot = Operator("aten::logical_not")
    static let logicalAnd = Operator("aten::logical_and")
    static let logicalOr = Operator("aten::logical_or")
    static let choose = Operator("aten::where", "self")
    static let maskedFill = Operator("aten::masked_fill", "Scalar")
    static let isfinite = Operator("aten::isfinite")
    static let addI = Operator("aten::add_", "Tensor")
    static let subI = Operator("aten::sub_", "Tensor")
    static let mulI = Operator("aten::mul_", "Tensor")
    static let mulSI = Operator("aten::mul_", "Scalar")
    static let copyI = Operator("aten::copy_")
    static let zeroI = Operator("aten::zero_")
    static let fillI = Operator("aten::fill_", "Scalar")
}

extension Tensor {
    /// Sum, element by element, with broadcasting.
    public static func + (left: Tensor, right: Tensor) throws -> Tensor {
        try Arithmetic.add(.tensor(left), .tensor(right))
    }

    /// Sum with a number.
    public static func + (left: Tensor, right: Double) throws -> Tensor {
        try Arithmetic.addS(.tensor(left), .real(right))
    }

    /// Difference, element by element, with broadcasting.
    public static func - (left: Tensor, right: Tensor) throws -> Tensor {
        try Arithmetic.sub(.tensor(left), .tensor(right))
    }

    /// Difference with a number.
    public static func - (left: Tensor, right: Double) throws -> Tensor {
        try Arithmetic.addS(.tensor(left), .real(-right))
    }

    /// A number minus each element.
    public static func - (left: Double, right: Tensor) throws -> Tensor {
        try Arithmetic.rsub(.tensor(right), .real(left))
    }

    /// Product, element by element, with broadcasting.
    public static func * (left: Tensor, right: Tensor) throws -> Tensor {
        try Arithmetic.mul(.tensor(left), .tensor(right))
    }

    /// Product with a number.
    public static func * (left: Tensor, right: Double) throws -> Tensor {
        try Arithmetic.mulS(.tensor(left), .real(right))
    }

    /// Product with a number.
    public static func * (left: Double, right: Tensor) throws -> Tensor {
        try Arithmetic.mulS(.tensor(right), .real(left))
    }

    /// Quotient, element by element, with broadcasting.
    public static func / (left: Tensor, right: Tensor) throws -> Tensor {
        try Arithmetic.div(.tensor(left), .tensor(right))
    }

    /// Quotient by a number.
    public static func / (left: Tensor, right: Double) throws -> Tensor {
        try Arithmetic.divS(.tensor(left), .real(right))
    }

    /// Each element with its sign turned.
    public static prefix func - (tensor: Tensor) throws -> Tensor { try Arithmetic.neg(.tensor(tensor)) }
}

extension Tensor {
    /// Each element raised to a power.
    public func power(_ exponent: Double) throws -> Tensor { try Arithmetic.pow(.tensor(self), .real(exponent)) }

    /// e raised to each element.
    public func exp() throws -> Tensor { try Arithmetic.exp(.tensor(self)) }

    /// The natural logarithm of each element.
    public func log() throws -> Tensor { try Arithmetic.log(.tensor(self)) }

    /// The square root of each element.
    public func sqrt() throws -> Tensor { try Arithmetic.sqrt(.tensor(self)) }

    /// One over the square root of each element.
    public func reciprocalSqrt() throws -> Tensor { try Arithmetic.rsqrt(.tensor(self)) }

    /// Each element without its sign.
    public func abs() throws -> Tensor { try Arithmetic.abs(.tensor(self)) }

    /// The sine of each element, in radians.
    public func sin() throws -> Tensor { try Arithmetic.sin(.tensor(self)) }

    /// The cosine of each element, in radians.
    public func cos() throws -> Tensor { try Arithmetic.cos(.tensor(self)) }

    /// Each element, but at least `low`.
    public func clamped(min low: Double) throws -> Tensor { try Arithmetic.clampMin(.tensor(self), .real(low)) }

    /// Each element, but at most `high`.
    public func clamped(max high: Double) throws -> Tensor { try Arithmetic.clampMax(.tensor(self), .real(high)) }
}

extension Tensor {
    /// Where elements are equal, as `bool`.
    public func equal(_ other: Tensor) throws -> Tensor { try Arithmetic.eq(.tensor(self), .tensor(other)) }

    /// Where elements equal a number, as `bool`.
    public func equal(_ number: Double) throws -> Tensor { try Arithmetic.eqS(.tensor(self), .real(number)) }

    /// Where elements differ from a number, as `bool`.
    public func notEqual(_ number: Double) throws -> Tensor { try Arithmetic.neS(.tensor(self), .real(number)) }

    /// Where elements are less, as `bool`.
    public func less(_ other: Tensor) throws -> Tensor { try Arithmetic.lt(.tensor(self), .tensor(other)) }

    /// Where elements are at most those of another tensor, as `bool`.
    public func lessOrEqual(_ other: Tensor) throws -> Tensor { try Arithmetic.le(.tensor(self), .tensor(other)) }

    /// Where elements are greater, as `bool`.
    public func greater(_ other: Tensor) throws -> Tensor { try Arithmetic.gt(.tensor(self), .tensor(other)) }

    /// Where elements are at least those of another tensor, as `bool`.
    public func greaterOrEqual(_ other: Tensor) throws -> Tensor {
        try Arithmetic.ge(.tensor(self), .tensor(other))
    }

    /// Where elements are less than a number, as `bool`.
    public func less(_ number: Double) throws -> Tensor { try Arithmetic.ltS(.tensor(self), .real(number)) }

    /// Where elements are greater than a number, as `bool`.
    public func greater(_ number: Double) throws -> Tensor { try Arithmetic.gtS(.tensor(self), .real(number)) }

    /// Where elements are neither infinite nor not-a-number, as `bool`.
    public func isFinite() throws -> Tensor { try Arithmetic.isfinite(.tensor(self)) }

    /// The opposite of each truth value.
    public func logicalNot() throws -> Tensor { try Arithmetic.logicalNot(.tensor(self)) }

    /// Where both are true.
    public func logicalAnd(_ other: Tensor) throws -> Tensor {
        try Arithmetic.logicalAnd(.tensor(self), .tensor(other))
    }

    /// Where either is true.
    public func logicalOr(_ other: Tensor) throws -> Tensor {
        try Arithmetic.logicalOr(.tensor(self), .tensor(other))
    }

    /// Elements of `whenTrue` where this `bool` tensor is true, of `whenFalse` elsewhere.
    public func select(_ whenTrue: Tensor, _ whenFalse: Tensor) throws -> Tensor {
        try Arithmetic.choose(.tensor(self), .tensor(whenTrue), .tensor(whenFalse))
    }

    /// A copy with a number wherever the `bool` mask is true.
    public func filled(where mask: Tensor, with number: Double) throws -> Tensor {
        try Arithmetic.maskedFill(.tensor(self), .tensor(mask), .real(number))
    }
}

extension Tensor {
    /// Adds `scale` times another tensor to this one, in place.
    public func addInPlace(_ other: Tensor, scale: Double = 1) throws {
        try Arithmetic.addI.run(.tensor(self), .tensor(other), .real(scale))
    }

    /// Multiplies by another tensor, in place.
    public func multiplyInPlace(_ other: Tensor) throws { try Arithmetic.mulI.run(.tensor(self), .tensor(other)) }

    /// Multiplies by a number, in place.
    public func multiplyInPlace(_ number: Double) throws { try Arithmetic.mulSI.run(.tensor(self), .real(number)) }

    /// Takes over the elements of another tensor, in place, converting them to this type.
    public func copyInPlace(_ other: Tensor) throws { try Arithmetic.copyI.run(.tensor(self), .tensor(other)) }

    /// Sets every element to a number, in place.
    public func fillInPlace(_ number: Double) throws { try Arithmetic.fillI.run(.tensor(self), .real(number)) }
}
