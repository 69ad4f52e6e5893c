"""Vector instructions that are written one by one, where the compiler would choose others."""

from llvmlite import ir

from .vector_unit import HOST

I32, I64 = ir.IntType(32), ir.IntType(64)


def lanes_of(element):
    """Return the number of lanes of a vector whose elements have this LLVM type."""
    return HOST.n_bytes // (4 if isinstance(element, ir.FloatType) else 8)


class VectorWriter:
    """A writer of vector instructions of one element type into a module.

    Parameters
    ----------
    module : llvmlite.ir.Module
    element : llvmlite.ir.FloatType or llvmlite.ir.DoubleType
        The type of the elements.
    n_lanes : int or None
        The number of lanes; None for that of the machine's vectors. The compiler makes several of
        these of a longer one.
    """

    def __init__(self, module, element, n_lanes=None):
        self.module = module
        self.element = element
        self.n_lanes = n_lanes or lanes_of(element)
        self.vector = ir.VectorType(element, self.n_lanes)
        self.pointer = element.as_pointer()
        self.size = HOST.n_bytes // lanes_of(element)
        self.suffix = f"v{self.n_lanes}{'f32' if self.size == 4 else 'f64'}"

    def multiply_add(self, builder, x, y, z):
        """Write x y + z, which is rounded once where the machine has an instruction for that."""
        if not HOST.has_fma:
            return builder.fadd(builder.fmul(x, y), z)
        name = f"llvm.fma.{self.suffix}"
        fma = self.module.globals.get(name)
        if fma is None:
            fma = ir.Function(self.module, ir.FunctionType(self.vector, [self.vector] * 3), name)
        return builder.call(fma, [x, y, z])

    def absolute(self, builder, x):
        """Write the absolute values of a vector's lanes."""
        name = f"llvm.fabs.{self.suffix}"
        fabs = self.module.globals.get(name)
        if fabs is None:
            fabs = ir.Function(self.module, ir.FunctionType(self.vector, [self.vector]), name)
        return builder.call(fabs, [x])

    def load(self, builder, pointer):
        """Write what loads a vector; the pointer may be aligned to its elements only."""
        pointer = builder.bitcast(pointer, self.vector.as_pointer())
        return builder.load(pointer, align=self.size)

    def store(self, builder, vector, pointer):
        """Write what stores a vector; the pointer may be aligned to its elements only."""
        pointer = builder.bitcast(pointer, self.vector.as_pointer())
        builder.store(vector, pointer, align=self.size)

    def load_first(self, builder, pointer, mask):
        """Write what loads the lanes of a mask, and reads no others, which become zero."""
        to_vector = self.vector.as_pointer()
        load = self._masked("load", self.vector, [to_vector, I32, mask.type, self.vector])
        align = ir.Constant(I32, self.size)
        return builder.call(
            load, [builder.bitcast(pointer, to_vector), align, mask, self.constant(0.0)]
        )

    def copy_first(self, builder, source, to, mask):
        """Write what copies the lanes of a mask from one place to another, and reads no others."""
        mask_type = mask.type
        pointer = self.vector.as_pointer()
        load = self._masked("load", self.vector, [pointer, I32, mask_type, self.vector])
        store = self._masked("store", ir.VoidType(), [self.vector, pointer, I32, mask_type])
        align = ir.Constant(I32, self.size)
        nothing = ir.Constant(self.vector, ir.Undefined)
        vector = builder.call(load, [builder.bitcast(source, pointer), align, mask, nothing])
        builder.call(store, [vector, builder.bitcast(to, pointer), align, mask])

    def _masked(self, what, result, arguments):
        """Declare what loads or stores the lanes of a mask, unless the module has it."""
        name = f"llvm.masked.{what}.{self.suffix}.p0"
        function = self.module.globals.get(name)
        if function is None:
            function = ir.Function(self.module, ir.FunctionType(result, arguments), name)
        return function

    def splat(self, builder, scalar):
        """Write what fills all lanes of a vector with one number."""
        undefined = ir.Constant(ir.VectorType(scalar.type, self.n_lanes), ir.Undefined)
        one = builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
        mask = ir.Constant(ir.VectorType(I32, self.n_lanes), [0] * self.n_lanes)
        return builder.shuffle_vector(one, undefined, mask)

    def constant(self, number):
        """Return a constant vector with the same number in all lanes."""
        return ir.Constant(self.vector, [ir.Constant(self.element, number)] * self.n_lanes)

    def fold(self, builder, vector, combine, width):
        """Write what combines the lanes of each part of a vector.

        Lanes are combined in pairs, always in the same order.

        Parameters
        ----------
        builder : llvmlite.ir.IRBuilder
        vector : llvmlite value
        combine : callable
            ``combine(x, y)`` writes what makes one vector of two; the order of these must not
            matter.
        width : int
            The number of lanes of a part, a power of two.

        Returns
        -------
        llvmlite value
            A vector in which all lanes of a part have the same number.
        """
        half = width // 2
        while half:
            partners = [lane ^ half for lane in range(self.n_lanes)]
            mask = ir.Constant(ir.VectorType(I32, self.n_lanes), partners)
            vector = combine(vector, builder.shuffle_vector(vector, vector, mask))
            half //= 2
        return vector

    def first_lanes(self, builder, count):
        """Write a mask of the first lanes of a vector.

        Parameters
        ----------
        builder : llvmlite.ir.IRBuilder
        count : llvmlite value
            The number of lanes, an i64. All lanes are in the mask where it is larger than their
            number, and none where it is negative.

        Returns
        -------
        llvmlite value
        """
        numbers = ir.Constant(ir.VectorType(I64, self.n_lanes), list(range(self.n_lanes)))
        return builder.icmp_signed("<", numbers, self.splat(builder, count))
